// What is heard: one looping sound, crossfaded to the next one at the same musical position.
//
// The context has the rate of the recording, so that the browser resamples well and only once. The server keeps every
// sound below -1 dBFS; a linear crossfade is a weighted mean and a volume is at most 1, so nothing exceeds that.

const FADE_S = 0.012;

export class Player {
  #context = null;
  #volume = null;
  #level = 1;
  #playing = null; // {source, gain, since, began: context time of the loop's first sample}
  #fading = false;
  #next = null;

  /** To be called in a gesture of the user, without awaiting anything first: the browser forbids sound before one. */
  resume(rate) {
    if (this.#context && this.#context.sampleRate !== rate) {
      this.#context.close();
      this.#context = this.#playing = this.#next = null;
      this.#fading = false;
    }
    if (!this.#context) {
      this.#context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
      this.#volume = new GainNode(this.#context, { gain: this.#level });
      this.#volume.connect(this.#context.destination);
    }
    if (this.#context.state === "suspended") this.#context.resume();
  }

  get playing() {
    return this.#playing !== null;
  }

  get outputMs() {
    return 1000 * (this.#context?.outputLatency || this.#context?.baseLatency || 0);
  }

  set volume(level) {
    this.#level = level;
    this.#volume?.gain.setTargetAtTime(level, this.#context.currentTime, 0.01);
  }

  /** Play a sound from now on; while two sources are heard it waits, and only the last one that waits is played. */
  play(sound) {
    this.resume(sound.rate);
    if (this.#fading) this.#next = sound;
    else this.#start(sound);
  }

  stop() {
    this.#next = null;
    if (!this.#playing) return;
    this.#fade(this.#playing, this.#context.currentTime);
    this.#playing = null;
  }

  #start(sound) {
    const context = this.#context;
    const buffer = new AudioBuffer({
      length: sound.channels[0].length,
      numberOfChannels: sound.channels.length,
      sampleRate: sound.rate,
    });
    sound.channels.forEach((channel, index) => buffer.copyToChannel(channel, index));
    const now = context.currentTime;
    const before = this.#playing;
    const began = before ? before.began : now;
    const source = new AudioBufferSourceNode(context, { buffer, loop: true });
    const gain = new GainNode(context, { gain: 0 });
    source.connect(gain).connect(this.#volume);
    source.start(now, (now - began) % buffer.duration);
    this.#playing = { source, gain, began, since: now };
    gain.gain.setValueAtTime(0, now).linearRampToValueAtTime(1, now + FADE_S);
    if (before) this.#fade(before, now);
  }

  #fade({ source, gain, since }, now) {
    this.#fading = true;
    const context = this.#context;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setValueAtTime(Math.min(1, (now - since) / FADE_S), now).linearRampToValueAtTime(0, now + FADE_S);
    source.stop(now + FADE_S);
    source.onended = () => {
      gain.disconnect();
      if (context !== this.#context) return; // the rate has changed since
      this.#fading = false;
      const next = this.#next;
      this.#next = null;
      if (next) this.#start(next);
    };
  }
}
