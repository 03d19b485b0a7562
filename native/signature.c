#include "signature.h"

#include <limits.h>
#include <stdbool.h>

#include "openssl.h"

size_t sign_digest(const uint8_t *key, size_t key_length, const uint8_t *digest, size_t digest_length,
                   uint8_t *signature) {
  if (key_length > LONG_MAX) return 0;
  size_t length = MAX_SIGNATURE_BYTES;
  ERR_set_mark(); /* so that no error of ours shows in what node:crypto does next */
  EVP_PKEY *private_key = d2i_AutoPrivateKey(NULL, &key, (long)key_length);
  EVP_PKEY_CTX *context = private_key == NULL ? NULL : EVP_PKEY_CTX_new(private_key, NULL);
  const bool done = context != NULL && EVP_PKEY_sign_init(context) == 1 &&
                    EVP_PKEY_sign(context, signature, &length, digest, digest_length) == 1;
  EVP_PKEY_CTX_free(context); /* NULL is fine, here and below */
  EVP_PKEY_free(private_key);
  ERR_pop_to_mark();
  return done ? length : 0;
}
