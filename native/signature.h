/* ECDSA over a finished digest, which node:crypto does not give. Knows nothing of Node. */
#ifndef ESDK_SIGNATURE_H
#define ESDK_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

enum { MAX_DIGEST_BYTES = 48 };

/* More than a DER signature on any curve of the message format. */
enum { MAX_SIGNATURE_BYTES = 160 };

/*
 * Signs a digest with a private key in DER, into room for MAX_SIGNATURE_BYTES. The length of the signature in DER, or 0
 * where there is no such key or it does not sign.
 */
size_t sign_digest(const uint8_t *key, size_t key_length, const uint8_t *digest, size_t digest_length,
                   uint8_t *signature);

#endif
