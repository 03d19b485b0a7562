#include "frame-cipher.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "openssl.h"

struct frame_cipher {
  EVP_CIPHER_CTX *context; /* NULL: ended */
  size_t frame_length;
  size_t aad_length;
  uint8_t aad[MAX_AAD_BYTES];
};

static void write_uint32(uint8_t *bytes, uint32_t value) {
  bytes[0] = (uint8_t)(value >> 24);
  bytes[1] = (uint8_t)(value >> 16);
  bytes[2] = (uint8_t)(value >> 8);
  bytes[3] = (uint8_t)value;
}

static uint32_t read_uint32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

struct frame_cipher *frame_cipher_new(const uint8_t *key, size_t key_length, const uint8_t *aad, size_t aad_length,
                                      size_t frame_length) {
  const EVP_CIPHER *type = aes_gcm(key_length);
  if (type == NULL || aad_length < MIN_AAD_BYTES || aad_length > MAX_AAD_BYTES) return NULL;
  if (frame_length < 1 || frame_length > MAX_FRAME_LENGTH) return NULL;
  struct frame_cipher *cipher = calloc(1, sizeof *cipher);
  if (cipher == NULL) return NULL;
  cipher->frame_length = frame_length;
  cipher->aad_length = aad_length;
  memcpy(cipher->aad, aad, aad_length);
  ERR_set_mark();
  cipher->context = EVP_CIPHER_CTX_new();
  bool ready =
      cipher->context != NULL && EVP_CipherInit_ex(cipher->context, type, NULL, key, NULL, ENCRYPT) == 1;
  ERR_pop_to_mark();
  if (ready) return cipher;
  frame_cipher_free(cipher);
  return NULL;
}

void frame_cipher_end(struct frame_cipher *cipher) {
  EVP_CIPHER_CTX_free(cipher->context); /* clears it; NULL is fine */
  cipher->context = NULL;
}

void frame_cipher_free(struct frame_cipher *cipher) {
  if (cipher == NULL) return;
  frame_cipher_end(cipher);
  free(cipher);
}

bool frame_cipher_is_alive(const struct frame_cipher *cipher) { return cipher->context != NULL; }

size_t frame_cipher_frame_length(const struct frame_cipher *cipher) { return cipher->frame_length; }

/* Sets the IV and the AAD of the frame of that number. */
static bool begin(struct frame_cipher *cipher, int direction, const uint8_t *iv, uint32_t number) {
  int length;
  write_uint32(cipher->aad + cipher->aad_length - MIN_AAD_BYTES, number);
  return EVP_CipherInit_ex(cipher->context, NULL, NULL, NULL, iv, direction) == 1 &&
         EVP_CipherUpdate(cipher->context, NULL, &length, cipher->aad, (int)cipher->aad_length) == 1;
}

/* Passes the content through. GCM gives as much as it takes. */
static bool pass(struct frame_cipher *cipher, uint8_t *out, const uint8_t *in) {
  int length;
  return EVP_CipherUpdate(cipher->context, out, &length, in, (int)cipher->frame_length) == 1 &&
         (size_t)length == cipher->frame_length;
}

/* Ends a frame; when decrypting, whether its tag verified. */
static bool finish(struct frame_cipher *cipher) {
  uint8_t nothing[TAG_BYTES];
  int length;
  return EVP_CipherFinal_ex(cipher->context, nothing, &length) == 1;
}

static bool seal_one(struct frame_cipher *cipher, uint32_t number, const uint8_t *plaintext, uint8_t *frame) {
  uint8_t *iv = frame + NUMBER_BYTES;
  uint8_t *content = iv + IV_BYTES;
  write_uint32(frame, number);
  memset(iv, 0, IV_BYTES - NUMBER_BYTES);
  write_uint32(iv + IV_BYTES - NUMBER_BYTES, number);
  return begin(cipher, ENCRYPT, iv, number) && pass(cipher, content, plaintext) && finish(cipher) &&
         EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, content + cipher->frame_length) == 1;
}

static bool open_one(struct frame_cipher *cipher, uint32_t number, const uint8_t *frame, uint8_t *plaintext) {
  const uint8_t *iv = frame + NUMBER_BYTES;
  const uint8_t *content = iv + IV_BYTES;
  uint8_t tag[TAG_BYTES];
  if (read_uint32(frame) != number) return false;
  memcpy(tag, content + cipher->frame_length, TAG_BYTES); /* OpenSSL wants it writable */
  return begin(cipher, DECRYPT, iv, number) &&
         EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
         pass(cipher, plaintext, content) && finish(cipher);
}

bool frame_cipher_seal(struct frame_cipher *cipher, uint32_t first, size_t count, const uint8_t *plaintext,
                       uint8_t *frames) {
  const size_t frame_length = cipher->frame_length;
  const size_t size = frame_length + FRAME_OVERHEAD;
  size_t done = 0;
  ERR_set_mark(); /* so that no error of ours shows in what node:crypto does next */
  while (done < count &&
         seal_one(cipher, first + (uint32_t)done, plaintext + done * frame_length, frames + done * size)) {
    done++;
  }
  ERR_pop_to_mark();
  if (done == count) return true;
  OPENSSL_cleanse(frames, count * size);
  frame_cipher_end(cipher);
  return false;
}

size_t frame_cipher_open(struct frame_cipher *cipher, uint32_t first, size_t count, const uint8_t *frames,
                         uint8_t *plaintext) {
  const size_t frame_length = cipher->frame_length;
  const size_t size = frame_length + FRAME_OVERHEAD;
  size_t done = 0;
  ERR_set_mark();
  while (done < count &&
         open_one(cipher, first + (uint32_t)done, frames + done * size, plaintext + done * frame_length)) {
    done++;
  }
  ERR_pop_to_mark();
  if (done == count) return count;
  OPENSSL_cleanse(plaintext, count * frame_length);
  frame_cipher_end(cipher);
  return done;
}
