/* The addon: what Node calls when it is loaded. */
#include "addon.h"
#include "arguments.h"
#include "openssl.h"

/* Which OpenSSL this was written for; a spec builds it for another. */
#ifndef ESDK_OPENSSL_MAJOR
#define ESDK_OPENSSL_MAJOR 3
#endif

#define EXPORT __attribute__((visibility("default")))

EXPORT int32_t node_api_module_get_api_version_v1(void) { return 8; }

EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  if (OpenSSL_version_num() >> 28 != ESDK_OPENSSL_MAJOR) return throw_error(env, "another major version of OpenSSL");
  if (!define_frames(env, exports) || !define_keys(env, exports) ||
      !define_signature(env, exports)) {
    return throw_error(env, "Node took no functions");
  }
  return exports;
}
