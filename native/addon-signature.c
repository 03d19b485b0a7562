/* Signing for JavaScript. All arguments are checked here. */
#include "addon.h"
#include "arguments.h"
#include "signature.h"

/* signDigest(key, digest, signature): how long the signature is that was written into the 160 bytes for it. */
static napi_value sign(napi_env env, napi_callback_info info) {
  napi_value arguments[MAX_ARGUMENTS], result;
  struct bytes key, digest, signature;
  if (!arguments_of(env, info, arguments)) return NULL;
  if (!bytes_of(env, arguments[0], &key)) return throw_type(env, "the key must be a Uint8Array");
  if (!bytes_of(env, arguments[1], &digest)) return throw_type(env, "the digest must be a Uint8Array");
  if (digest.length == 0 || digest.length > MAX_DIGEST_BYTES) return throw_range(env, "a digest has 1 to 48 bytes");
  if (!bytes_of(env, arguments[2], &signature)) return throw_type(env, "the signature must be a Uint8Array");
  if (signature.length != MAX_SIGNATURE_BYTES) return throw_range(env, "there must be 160 bytes for a signature");
  const size_t length = sign_digest(key.data, key.length, digest.data, digest.length, signature.data);
  if (length == 0) return throw_error(env, "OpenSSL could not sign");
  return napi_create_double(env, (double)length, &result) == napi_ok ? result : NULL;
}

bool define_signature(napi_env env, napi_value exports) { return define(env, exports, "signDigest", sign); }
