/* The key and the commitment of a committing suite: HKDF (RFC 5869) with SHA-512, once extracted and twice expanded. */
#ifndef ESDK_KEY_DERIVATION_H
#define ESDK_KEY_DERIVATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DERIVED_BYTES = 32 };

struct label {
  const uint8_t *bytes;
  size_t length; /* at most MAX_LABEL_BYTES */
};

enum { MAX_LABEL_BYTES = 64, MAX_SALT_BYTES = 128, MAX_DATA_KEY_BYTES = 1024 };

/* Salt and labels must be within the bounds above. Writes two keys of DERIVED_BYTES, one behind the other. Nothing is left of them where it fails. */
bool derive_two(const uint8_t *data_key, size_t data_key_length, const uint8_t *salt, size_t salt_length,
                struct label first, struct label second, uint8_t *derived);

#endif
