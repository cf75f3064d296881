// A mono gain in steps of one hundredth, with a choice of three signs, that crashes or hangs while it is loaded where the
// environment says so: for tests only. Built with DPF.
#include "DistrhoPlugin.hpp"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

START_NAMESPACE_DISTRHO

class Mono : public Plugin {
public:
    Mono() : Plugin(2, 0, 0) {
        const char* const wanted = std::getenv("JAXVAE_TEST_PLUGIN");
        if (wanted != nullptr && std::strcmp(wanted, "crash") == 0) std::abort();
        if (wanted != nullptr && std::strcmp(wanted, "hang") == 0) for (;;) sleep(1);
    }

protected:
    const char* getLabel() const override { return "Mono"; }
    const char* getMaker() const override { return "jaxvae"; }
    const char* getLicense() const override { return "MIT"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('j', 'v', 'M', 'o'); }

    void initParameter(uint32_t index, Parameter& parameter) override {
        parameter.name = parameter.symbol = index == 0 ? "percent" : "sign";
        parameter.ranges = index == 0 ? ParameterRanges(50.0f, 0.0f, 100.0f) : ParameterRanges(2.0f, 0.0f, 2.0f);
        parameter.hints = kParameterIsAutomatable | kParameterIsInteger;
    }
    float getParameterValue(uint32_t index) const override { return values[index]; }
    void setParameterValue(uint32_t index, float value) override { values[index] = value; }

    void run(const float** inputs, float** outputs, uint32_t frames) override {
        const float gain = values[0] / 100.0f * (values[1] - 1.0f);
        for (uint32_t frame = 0; frame < frames; ++frame) outputs[0][frame] = gain * inputs[0][frame];
    }

private:
    float values[2] = {50.0f, 2.0f};
};

Plugin* createPlugin() { return new Mono; }

END_NAMESPACE_DISTRHO
