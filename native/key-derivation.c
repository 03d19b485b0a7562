#include "key-derivation.h"

#include <string.h>

#include "openssl.h"

enum { HASH_BYTES = 64, BLOCK_BYTES = 128 };

/* SHA-512 of two parts. The context has been initialized for it before. */
static bool hash(EVP_MD_CTX *context, const uint8_t *first, size_t first_length, const uint8_t *second,
                 size_t second_length, uint8_t *result) {
  return EVP_DigestInit_ex(context, NULL, NULL) == 1 && EVP_DigestUpdate(context, first, first_length) == 1 &&
         EVP_DigestUpdate(context, second, second_length) == 1 && EVP_DigestFinal_ex(context, result, NULL) == 1;
}

/* RFC 2104, of a key within one block. OpenSSL's own HMAC looks its algorithms up anew every time. */
static bool hmac(EVP_MD_CTX *context, const uint8_t *key, size_t key_length, const uint8_t *bytes, size_t length,
                 uint8_t *result) {
  uint8_t inner[BLOCK_BYTES], outer[BLOCK_BYTES];
  memset(inner, 0x36, BLOCK_BYTES);
  memset(outer, 0x5c, BLOCK_BYTES);
  for (size_t index = 0; index < key_length; index++) {
    inner[index] ^= key[index];
    outer[index] ^= key[index];
  }
  const bool done = hash(context, inner, BLOCK_BYTES, bytes, length, result) &&
                    hash(context, outer, BLOCK_BYTES, result, HASH_BYTES, result);
  OPENSSL_cleanse(inner, sizeof inner);
  OPENSSL_cleanse(outer, sizeof outer);
  return done;
}

/* The first block is all that is needed: T(1) = HMAC(PRK, info | 0x01). */
static bool expand(EVP_MD_CTX *context, const uint8_t *extracted, struct label label, uint8_t *derived) {
  uint8_t info[MAX_LABEL_BYTES + 1], block[HASH_BYTES];
  memcpy(info, label.bytes, label.length);
  info[label.length] = 1;
  const bool done = hmac(context, extracted, HASH_BYTES, info, label.length + 1, block);
  if (done) memcpy(derived, block, DERIVED_BYTES);
  OPENSSL_cleanse(block, sizeof block);
  return done;
}

bool derive_two(const uint8_t *data_key, size_t data_key_length, const uint8_t *salt, size_t salt_length,
                struct label first, struct label second, uint8_t *derived) {
  uint8_t extracted[HASH_BYTES];
  ERR_set_mark(); /* so that no error of ours shows in what node:crypto does next */
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  const bool done = context != NULL && EVP_DigestInit_ex(context, EVP_sha512(), NULL) == 1 &&
                    hmac(context, salt, salt_length, data_key, data_key_length, extracted) &&
                    expand(context, extracted, first, derived) &&
                    expand(context, extracted, second, derived + DERIVED_BYTES);
  EVP_MD_CTX_free(context); /* clears it; NULL is fine */
  ERR_pop_to_mark();
  OPENSSL_cleanse(extracted, sizeof extracted);
  if (!done) OPENSSL_cleanse(derived, 2 * DERIVED_BYTES);
  return done;
}
