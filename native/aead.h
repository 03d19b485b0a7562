/* AES-GCM of one message under a key that is used once or seldom: headers, data keys, short messages. */
#ifndef ESDK_AEAD_H
#define ESDK_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openssl.h"

/* OpenSSL takes lengths as int. */
enum { MAX_AEAD_BYTES = 1 << 30 };

/* What OpenSSL calls the direction. */
enum { DECRYPT = 0, ENCRYPT = 1 };

/* AES-GCM under keys of 16, 24 or 32 bytes, else NULL. */
const EVP_CIPHER *aes_gcm(size_t key_length);

struct aead {
  const uint8_t *key;
  size_t key_length; /* 16, 24 or 32 */
  const uint8_t *iv; /* 12 bytes */
  const uint8_t *aad;
  size_t aad_length;
};

/* Writes the ciphertext, of `length` bytes, and the tag, of 16. Nothing is left in `sealed` where it fails. */
bool aead_seal(const struct aead *aead, const uint8_t *plaintext, size_t length, uint8_t *sealed);

/* Writes the plaintext, of `length` bytes. Nothing is left of it where the tag after the ciphertext is not its own. */
bool aead_open(const struct aead *aead, const uint8_t *ciphertext, size_t length, const uint8_t *tag,
               uint8_t *plaintext);

#endif
