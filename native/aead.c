#include "aead.h"

#include <string.h>

#include "frame-cipher.h"
#include "openssl.h"

const EVP_CIPHER *aes_gcm(size_t key_length) {
  switch (key_length) {
  case 16:
    return EVP_aes_128_gcm();
  case 24:
    return EVP_aes_192_gcm();
  case 32:
    return EVP_aes_256_gcm();
  default:
    return NULL;
  }
}

/* A context under key, IV and AAD; NULL where OpenSSL refuses. */
static EVP_CIPHER_CTX *begin(const struct aead *aead, int direction) {
  int length;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context != NULL && EVP_CipherInit_ex(context, aes_gcm(aead->key_length), NULL, aead->key, aead->iv, direction) == 1 &&
      (aead->aad_length == 0 ||
       EVP_CipherUpdate(context, NULL, &length, aead->aad, (int)aead->aad_length) == 1)) {
    return context;
  }
  EVP_CIPHER_CTX_free(context);
  return NULL;
}

static bool pass(EVP_CIPHER_CTX *context, uint8_t *out, const uint8_t *in, size_t length) {
  uint8_t nothing[TAG_BYTES];
  int passed = 0;
  if (length > 0 && EVP_CipherUpdate(context, out, &passed, in, (int)length) != 1) return false;
  return (size_t)passed == length && EVP_CipherFinal_ex(context, nothing, &passed) == 1;
}

bool aead_seal(const struct aead *aead, const uint8_t *plaintext, size_t length, uint8_t *sealed) {
  ERR_set_mark(); /* so that no error of ours shows in what node:crypto does next */
  EVP_CIPHER_CTX *context = begin(aead, ENCRYPT);
  const bool done = context != NULL && pass(context, sealed, plaintext, length) &&
                    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, sealed + length) == 1;
  EVP_CIPHER_CTX_free(context); /* clears it; NULL is fine */
  ERR_pop_to_mark();
  if (!done) OPENSSL_cleanse(sealed, length + TAG_BYTES);
  return done;
}

bool aead_open(const struct aead *aead, const uint8_t *ciphertext, size_t length, const uint8_t *tag,
               uint8_t *plaintext) {
  uint8_t expected[TAG_BYTES];
  memcpy(expected, tag, TAG_BYTES); /* OpenSSL wants it writable */
  ERR_set_mark();
  EVP_CIPHER_CTX *context = begin(aead, DECRYPT);
  const bool done = context != NULL &&
                    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, expected) == 1 &&
                    pass(context, plaintext, ciphertext, length);
  EVP_CIPHER_CTX_free(context);
  ERR_pop_to_mark();
  if (!done) OPENSSL_cleanse(plaintext, length);
  return done;
}
