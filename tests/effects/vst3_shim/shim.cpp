// The real mda Delay, an LV2 plug-in, inside a VST3: for tests only. Built with DPF and
// -DLV2_BINARY="/path/to/Delay.so". Its output is kLatency samples late, which it reports to the host.
#include "DistrhoPlugin.hpp"

#include <dlfcn.h>
#include <lv2/core/lv2.h>

#include <cstring>
#include <stdexcept>
#include <vector>

START_NAMESPACE_DISTRHO

static const char* const kNames[] = {"l_delay", "r_delay", "feedback", "fb_tone", "fx_mix", "output", "level", "mute"};
static const float kDefaults[] = {0.5f, 0.27f, 0.7f, 0.5f, 0.33f, 0.5f, 1.0f, 0.0f};
static const uint32_t kLatency = 300;
static const uint32_t kDelayControls = 6, kLevel = 6, kMute = 7, kControls = 8;

class Shim : public Plugin {
public:
    Shim() : Plugin(kControls, 0, 0) {
        std::memcpy(values, kDefaults, sizeof(values));
        void* library = dlopen(LV2_BINARY, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) throw std::runtime_error(dlerror());
        lv2 = reinterpret_cast<LV2_Descriptor_Function>(dlsym(library, "lv2_descriptor"))(0);
        setLatency(kLatency);
    }
    ~Shim() override { if (handle != nullptr) lv2->cleanup(handle); }

protected:
    const char* getLabel() const override { return "Shim"; }
    const char* getMaker() const override { return "jaxvae"; }
    const char* getLicense() const override { return "MIT"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('j', 'v', 'S', 'h'); }

    void initParameter(uint32_t index, Parameter& parameter) override {
        parameter.name = parameter.symbol = kNames[index];
        parameter.ranges = ParameterRanges(kDefaults[index], 0.0f, 1.0f);
        parameter.hints = kParameterIsAutomatable;
        if (index == kMute) parameter.hints |= kParameterIsBoolean;
    }
    float getParameterValue(uint32_t index) const override { return values[index]; }
    void setParameterValue(uint32_t index, float value) override { values[index] = value; }

    void activate() override {  // a fresh instance: no state from before
        if (handle != nullptr) lv2->cleanup(handle);
        const LV2_Feature* const features[] = {nullptr};
        handle = lv2->instantiate(lv2, getSampleRate(), "/", features);
        for (uint32_t port = 0; port < kDelayControls; ++port) lv2->connect_port(handle, port, values + port);
        if (lv2->activate != nullptr) lv2->activate(handle);
        for (std::vector<float>& line : late) line.assign(kLatency, 0.0f);
        level = values[kLevel];
    }

    void run(const float** inputs, float** outputs, uint32_t frames) override {
        for (uint32_t channel = 0; channel < 2; ++channel) {
            lv2->connect_port(handle, kDelayControls + channel, const_cast<float*>(inputs[channel]));
            lv2->connect_port(handle, kDelayControls + 2 + channel, outputs[channel]);
        }
        lv2->run(handle, frames);
        for (uint32_t frame = 0; frame < frames; ++frame) {
            level += 0.001f * (values[kLevel] - level);  // glides, as the parameters of many plug-ins do
            for (uint32_t channel = 0; channel < 2; ++channel)
                outputs[channel][frame] *= values[kMute] > 0.5f ? 0.0f : level;
        }
        for (uint32_t channel = 0; channel < 2; ++channel) {
            std::vector<float>& line = late[channel];
            line.insert(line.end(), outputs[channel], outputs[channel] + frames);
            std::memcpy(outputs[channel], line.data(), frames * sizeof(float));
            line.erase(line.begin(), line.begin() + frames);
        }
    }

private:
    float values[kControls], level = 1.0f;
    const LV2_Descriptor* lv2 = nullptr;
    LV2_Handle handle = nullptr;
    std::vector<float> late[2];
};

Plugin* createPlugin() { return new Shim; }

END_NAMESPACE_DISTRHO
