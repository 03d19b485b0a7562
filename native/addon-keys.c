/* What is done once or twice a message, for JavaScript: sealing and opening, and deriving keys. Arguments are checked here. */
#include "addon.h"
#include "aead.h"
#include "arguments.h"
#include "frame-cipher.h"
#include "key-derivation.h"
#include "openssl.h"

enum { MAX_RANDOM_BYTES = 1024 };

/* (key, iv, aad, input, output) */
static bool aead_of(napi_env env, const napi_value *arguments, struct aead *aead, struct bytes *input,
                    struct bytes *output) {
  struct bytes key, iv, aad;
  if (!bytes_of(env, arguments[0], &key)) return throw_type(env, "the key must be a Uint8Array"), false;
  if (!bytes_of(env, arguments[1], &iv)) return throw_type(env, "the IV must be a Uint8Array"), false;
  if (!bytes_of(env, arguments[2], &aad)) return throw_type(env, "the AAD must be a Uint8Array"), false;
  if (!bytes_of(env, arguments[3], input)) return throw_type(env, "the input must be a Uint8Array"), false;
  if (!bytes_of(env, arguments[4], output)) return throw_type(env, "the output must be a Uint8Array"), false;
  if (key.length != 16 && key.length != 24 && key.length != 32) {
    return throw_range(env, "an AES key has 16, 24 or 32 bytes"), false;
  }
  if (iv.length != IV_BYTES) return throw_range(env, "an IV has 12 bytes"), false;
  if (aad.length > MAX_AEAD_BYTES || input->length > MAX_AEAD_BYTES) {
    return throw_range(env, "AAD and input must have at most 1073741824 bytes"), false;
  }
  if (overlap(*input, *output)) return throw_range(env, "input and output overlap"), false;
  *aead = (struct aead){key.data, key.length, iv.data, aad.data, aad.length};
  return true;
}

/* sealOnce(key, iv, aad, plaintext, sealed): ciphertext and tag. */
static napi_value seal(napi_env env, napi_callback_info info) {
  napi_value arguments[MAX_ARGUMENTS];
  struct aead aead;
  struct bytes plaintext, sealed;
  if (!arguments_of(env, info, arguments) || !aead_of(env, arguments, &aead, &plaintext, &sealed)) return NULL;
  if (sealed.length != plaintext.length + TAG_BYTES) {
    return throw_range(env, "the output must have room for ciphertext and tag, and no more");
  }
  if (!aead_seal(&aead, plaintext.data, plaintext.length, sealed.data)) return throw_error(env, "OpenSSL could not seal");
  return NULL;
}

/* openOnce(key, iv, aad, ciphertext, plaintext, tag): whether it is authentic. */
static napi_value open(napi_env env, napi_callback_info info) {
  napi_value arguments[MAX_ARGUMENTS], result;
  struct aead aead;
  struct bytes ciphertext, plaintext, tag;
  if (!arguments_of(env, info, arguments) || !aead_of(env, arguments, &aead, &ciphertext, &plaintext)) return NULL;
  if (!bytes_of(env, arguments[5], &tag)) return throw_type(env, "the tag must be a Uint8Array");
  if (tag.length != TAG_BYTES) return throw_range(env, "a tag has 16 bytes");
  if (plaintext.length != ciphertext.length) {
    return throw_range(env, "the output must have room for the plaintext, and no more");
  }
  const bool authentic = aead_open(&aead, ciphertext.data, ciphertext.length, tag.data, plaintext.data);
  return napi_get_boolean(env, authentic, &result) == napi_ok ? result : NULL;
}

/* deriveTwo(dataKey, salt, firstLabel, secondLabel, derived): two keys of 32 bytes. */
static napi_value derive(napi_env env, napi_callback_info info) {
  napi_value arguments[MAX_ARGUMENTS];
  struct bytes given[5];
  if (!arguments_of(env, info, arguments)) return NULL;
  for (int index = 0; index < 5; index++) {
    if (!bytes_of(env, arguments[index], &given[index])) {
      return throw_type(env, "data key, salt, labels and output must be Uint8Arrays");
    }
  }
  if (given[0].length == 0 || given[0].length > MAX_DATA_KEY_BYTES) {
    return throw_range(env, "a data key has 1 to 1024 bytes");
  }
  if (given[1].length == 0 || given[1].length > MAX_SALT_BYTES) return throw_range(env, "a salt has 1 to 128 bytes");
  const struct label first = {given[2].data, given[2].length}, second = {given[3].data, given[3].length};
  if (first.length == 0 || first.length > MAX_LABEL_BYTES || second.length == 0 || second.length > MAX_LABEL_BYTES) {
    return throw_range(env, "a label has 1 to 64 bytes");
  }
  if (given[4].length != 2 * DERIVED_BYTES) return throw_range(env, "there must be 64 bytes for the keys");
  if (!derive_two(given[0].data, given[0].length, given[1].data, given[1].length, first, second, given[4].data)) {
    return throw_error(env, "OpenSSL could not derive a key");
  }
  return NULL;
}

/* random(bytes): fills at most 1024 of them from OpenSSL's generator, as node:crypto does. */
static napi_value fill_random(napi_env env, napi_callback_info info) {
  napi_value arguments[MAX_ARGUMENTS];
  struct bytes bytes;
  if (!arguments_of(env, info, arguments)) return NULL;
  if (!bytes_of(env, arguments[0], &bytes)) return throw_type(env, "the bytes must be a Uint8Array");
  if (bytes.length == 0 || bytes.length > MAX_RANDOM_BYTES) return throw_range(env, "there must be 1 to 1024 bytes");
  ERR_set_mark();
  const bool done = RAND_bytes(bytes.data, (int)bytes.length) == 1;
  ERR_pop_to_mark();
  return done ? NULL : throw_error(env, "OpenSSL gave no random bytes");
}

bool define_keys(napi_env env, napi_value exports) {
  return define(env, exports, "sealOnce", seal) && define(env, exports, "openOnce", open) &&
         define(env, exports, "deriveTwo", derive) && define(env, exports, "random", fill_random);
}
