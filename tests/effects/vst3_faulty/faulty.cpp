// A gain with the fault that the name of its file says, where the parameter "fault" is above kAbove: for tests only.
// Built with DPF.
//     crash, abort, hang   what it does instead of rendering
//     nan                  what it renders
//     late                 its output is kLatency samples late, which it reports
//     growing              with each block it reports kLatency samples more, for which pedalboard waits for ever
//     long                 it crashes after kLong samples, whatever the settings
//     blocks               in blocks of more than kLargest samples it renders NaN, whatever the settings
//     fragile              in blocks of more than kLargest samples it crashes, whatever the settings
#include "DistrhoPlugin.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

START_NAMESPACE_DISTRHO

static const float kAbove = 0.8f;
static const uint32_t kLatency = 300, kLargest = 2048, kLong = 60000;

static std::string fileName() {
    Dl_info info;
    dladdr(reinterpret_cast<void*>(&fileName), &info);
    const std::string path = info.dli_fname;
    const size_t start = path.rfind('/') + 1;
    return path.substr(start, path.rfind('.') - start);
}

class Faulty : public Plugin {
public:
    Faulty() : Plugin(2, 0, 0), behaviour(fileName()) {}

protected:
    const char* getLabel() const override { return "Faulty"; }
    const char* getMaker() const override { return "jaxvae"; }
    const char* getLicense() const override { return "MIT"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('j', 'v', 'F', 'a'); }

    void initParameter(uint32_t index, Parameter& parameter) override {
        parameter.name = parameter.symbol = index == 0 ? "gain" : "fault";
        parameter.ranges = ParameterRanges(index == 0 ? 0.5f : 0.0f, 0.0f, 1.0f);
        parameter.hints = kParameterIsAutomatable;
    }
    float getParameterValue(uint32_t index) const override { return values[index]; }
    void setParameterValue(uint32_t index, float value) override {
        values[index] = value;
        if (behaviour == "late") setLatency(late() ? kLatency : 0);
    }

    void activate() override {
        for (std::vector<float>& line : lines) line.assign(kLatency, 0.0f);
        passed = 0;
    }

    void run(const float** inputs, float** outputs, uint32_t frames) override {
        const bool faulty = values[1] > kAbove;
        if (faulty && behaviour == "crash") *reinterpret_cast<volatile int*>(16) = 0;
        if (faulty && behaviour == "abort") { std::fputs("no table for this setting\n", stderr); std::abort(); }
        if (faulty && behaviour == "hang") for (;;) sleep(1);
        if (faulty && behaviour == "growing") setLatency(reported += kLatency);
        passed += frames;
        if (passed > kLong && behaviour == "long") std::abort();
        if (frames > kLargest && behaviour == "fragile") std::abort();
        const bool nan = (faulty && behaviour == "nan") || (frames > kLargest && behaviour == "blocks");
        for (uint32_t channel = 0; channel < 2; ++channel) {
            for (uint32_t frame = 0; frame < frames; ++frame)
                outputs[channel][frame] = nan ? NAN : values[0] * inputs[channel][frame];
            if (!late()) continue;
            std::vector<float>& line = lines[channel];
            line.insert(line.end(), outputs[channel], outputs[channel] + frames);
            std::memcpy(outputs[channel], line.data(), frames * sizeof(float));
            line.erase(line.begin(), line.begin() + frames);
        }
    }

private:
    bool late() const { return behaviour == "late" && values[1] > kAbove; }

    const std::string behaviour;
    float values[2] = {0.5f, 0.0f};
    uint32_t reported = 0, passed = 0;
    std::vector<float> lines[2];
};

Plugin* createPlugin() { return new Faulty; }

END_NAMESPACE_DISTRHO
