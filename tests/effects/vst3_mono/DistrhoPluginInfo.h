// What DPF, the framework that the plug-in is built with, asks of it.
#pragma once

#define DISTRHO_PLUGIN_BRAND "jaxvae"
#define DISTRHO_PLUGIN_NAME "Mono"
#define DISTRHO_PLUGIN_URI "urn:jaxvae:mono"
#define DISTRHO_PLUGIN_NUM_INPUTS 1
#define DISTRHO_PLUGIN_NUM_OUTPUTS 1
#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_IS_RT_SAFE 1
