// What DPF, the framework that the plug-in is built with, asks of it.
#pragma once

#define DISTRHO_PLUGIN_BRAND "jaxvae"
#define DISTRHO_PLUGIN_NAME "Faulty"
#define DISTRHO_PLUGIN_URI "urn:jaxvae:faulty"
#define DISTRHO_PLUGIN_NUM_INPUTS 2
#define DISTRHO_PLUGIN_NUM_OUTPUTS 2
#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_IS_RT_SAFE 1
#define DISTRHO_PLUGIN_WANT_LATENCY 1
