/* The parts of the addon: each adds its functions. */
#ifndef ESDK_ADDON_H
#define ESDK_ADDON_H

#include "node-api.h"

bool define_frames(napi_env env, napi_value exports);
bool define_keys(napi_env env, napi_value exports);
bool define_signature(napi_env env, napi_value exports);

#endif
