/*
 * The frame cipher without Node, for sanitizers and valgrind: known answers are the business of the specs of the engine;
 * here every byte that it reads and writes is in memory of its own, as long as it must be and no longer.
 */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/aead.h"
#include "../../native/frame-cipher.h"
#include "../../native/key-derivation.h"
#include "../../native/signature.h"

enum { MAX_LENGTH = 70000 };

static uint32_t seed = 1;

static uint32_t draw(uint32_t below) {
  seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
  return (seed >> 8) % below;
}

static uint8_t *drawn(size_t length) {
  uint8_t *bytes = malloc(length);
  assert(bytes != NULL);
  for (size_t index = 0; index < length; index++) bytes[index] = (uint8_t)draw(256);
  return bytes;
}

static int all_zero(const uint8_t *bytes, size_t length) {
  for (size_t index = 0; index < length; index++) {
    if (bytes[index] != 0) return 0;
  }
  return 1;
}

static void round_trip(size_t key_length, size_t aad_length, size_t length, size_t count) {
  const size_t size = length + FRAME_OVERHEAD;
  const uint32_t first = 1 + draw(UINT32_C(0xfffff000));
  uint8_t *key = drawn(key_length), *aad = drawn(aad_length), *plaintext = drawn(count * length);
  uint8_t *frames = malloc(count * size), *opened = malloc(count * length);
  assert(frames != NULL && opened != NULL);

  struct frame_cipher *sealer = frame_cipher_new(key, key_length, aad, aad_length, length);
  struct frame_cipher *opener = frame_cipher_new(key, key_length, aad, aad_length, length);
  assert(sealer != NULL && opener != NULL);
  memset(key, 0, key_length); /* it keeps nothing of its caller's */
  memset(aad, 0, aad_length);
  assert(frame_cipher_frame_length(sealer) == length);
  assert(frame_cipher_seal(sealer, first, count, plaintext, frames));
  assert(frame_cipher_open(opener, first, count, frames, opened) == count);
  assert(memcmp(opened, plaintext, count * length) == 0);
  assert(frame_cipher_is_alive(sealer) && frame_cipher_is_alive(opener));

  /* A changed byte: the frames before it are counted, all output is cleared, the cipher is dead. */
  const size_t at = draw((uint32_t)(count * size));
  frames[at] ^= (uint8_t)(1 + draw(255));
  memset(opened, 0xee, count * length);
  assert(frame_cipher_open(opener, first, count, frames, opened) == at / size);
  assert(all_zero(opened, count * length));
  assert(!frame_cipher_is_alive(opener));
  frame_cipher_end(opener);

  /* Another number than was sealed under. */
  assert(frame_cipher_open(sealer, first + 1, count, frames, opened) == 0);
  assert(all_zero(opened, count * length));
  assert(!frame_cipher_is_alive(sealer));

  frame_cipher_free(sealer);
  frame_cipher_free(opener);
  free(key);
  free(aad);
  free(plaintext);
  free(frames);
  free(opened);
}

static void refuses(size_t key_length, size_t aad_length, size_t length) {
  uint8_t bytes[256] = {0};
  assert(frame_cipher_new(bytes, key_length, bytes, aad_length, length) == NULL);
}

static void once(size_t key_length) {
  const size_t length = draw(300), aad_length = draw(100);
  uint8_t *key = drawn(key_length), *iv = drawn(IV_BYTES), *aad = drawn(aad_length + 1), *plaintext = drawn(length + 1);
  uint8_t *sealed = malloc(length + TAG_BYTES), *opened = malloc(length + 1);
  assert(sealed != NULL && opened != NULL);
  const struct aead aead = {key, key_length, iv, aad, aad_length};
  assert(aead_seal(&aead, plaintext, length, sealed));
  assert(aead_open(&aead, sealed, length, sealed + length, opened));
  assert(memcmp(opened, plaintext, length) == 0);
  sealed[draw((uint32_t)(length + TAG_BYTES))] ^= 1;
  memset(opened, 0xee, length);
  assert(!aead_open(&aead, sealed, length, sealed + length, opened));
  assert(all_zero(opened, length));
  free(key);
  free(iv);
  free(aad);
  free(plaintext);
  free(sealed);
  free(opened);
}

static void derive(void) {
  const size_t key_length = 1 + draw(MAX_DATA_KEY_BYTES), salt_length = 1 + draw(MAX_SALT_BYTES);
  const struct label labels[] = {{drawn(MAX_LABEL_BYTES), MAX_LABEL_BYTES}, {drawn(1), 1}};
  uint8_t *key = drawn(key_length), *salt = drawn(salt_length), *derived = malloc(2 * DERIVED_BYTES);
  assert(derived != NULL);
  assert(derive_two(key, key_length, salt, salt_length, labels[0], labels[1], derived));
  assert(memcmp(derived, derived + DERIVED_BYTES, DERIVED_BYTES) != 0);
  free(key);
  free(salt);
  free(derived);
  free((void *)labels[0].bytes);
  free((void *)labels[1].bytes);
}

/* Keys of P-256 and of nothing, in memory as long as they are. */
static void sign(void) {
  static const char hex[] = "303102010104200102030405060708091011121314151617181920212223242526272829303132a00a06082a8648ce3d030107";
  const size_t length = (sizeof hex - 1) / 2;
  uint8_t *key = malloc(length), *digest = drawn(32), *signature = malloc(MAX_SIGNATURE_BYTES);
  assert(key != NULL && signature != NULL);
  for (size_t index = 0; index < length; index++) {
    unsigned byte;
    assert(sscanf(hex + 2 * index, "%2x", &byte) == 1);
    key[index] = (uint8_t)byte;
  }
  const size_t signed_length = sign_digest(key, length, digest, 32, signature);
  assert(signed_length >= 68 && signed_length <= 72);
  assert(sign_digest(key, length - 1, digest, 32, signature) == 0);
  key[draw((uint32_t)length)] ^= (uint8_t)(1 + draw(255));
  assert(sign_digest(key, length, digest, 32, signature) <= MAX_SIGNATURE_BYTES);
  assert(sign_digest(key, 0, digest, 32, signature) == 0);
  free(key);
  free(digest);
  free(signature);
}

int main(int count, char **arguments) {
  const int rounds = count > 1 ? atoi(arguments[1]) : 300;
  static const size_t keys[] = {16, 24, 32};
  for (int round = 0; round < rounds; round++) {
    const size_t length = 1 + (round % 10 == 0 ? draw(MAX_LENGTH) : draw(200));
    const size_t aad_length = MIN_AAD_BYTES + draw(MAX_AAD_BYTES - MIN_AAD_BYTES + 1);
    if (round % 10 == 0) sign();
    once(keys[round % 3]);
    derive();
    round_trip(keys[round % 3], aad_length, length, 1 + draw(20));
  }
  refuses(0, 72, 16);
  refuses(31, 72, 16);
  refuses(32, MIN_AAD_BYTES - 1, 16);
  refuses(32, MAX_AAD_BYTES + 1, 16);
  refuses(32, 72, 0);
  refuses(32, 72, (size_t)MAX_FRAME_LENGTH + 1);
  frame_cipher_free(NULL);
  printf("%d rounds\n", rounds);
  return 0;
}
