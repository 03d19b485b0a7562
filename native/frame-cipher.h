/* The regular frames of one message, sealed or opened in batches: data-format/message-body.md. Knows nothing of Node. */
#ifndef ESDK_FRAME_CIPHER_H
#define ESDK_FRAME_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A regular frame: sequence number, IV, content (of the frame length), tag. */
enum { NUMBER_BYTES = 4, IV_BYTES = 12, TAG_BYTES = 16 };
enum { FRAME_OVERHEAD = NUMBER_BYTES + IV_BYTES + TAG_BYTES };

/* An AAD ends in the sequence number and the content length, of four and eight bytes. */
enum { MIN_AAD_BYTES = 12, MAX_AAD_BYTES = 128 };

/* OpenSSL takes lengths as int; the library allows frames of up to this length. */
enum { MAX_FRAME_LENGTH = 1 << 30 };

/* The number of a final frame at most, never of a regular one: it would read as the mark of the final frame. */
#define MAX_SEQUENCE_NUMBER UINT32_C(0xffffffff)

/* One context a message: the key schedule is made once, and each frame sets the IV only. */
struct frame_cipher;

/*
 * A cipher under a key of 16, 24 or 32 bytes. `aad` is that of any regular frame of the message; its sequence number is
 * replaced for each. The lengths must be within the bounds above. NULL where OpenSSL refuses or memory is short.
 */
struct frame_cipher *frame_cipher_new(const uint8_t *key, size_t key_length, const uint8_t *aad, size_t aad_length,
                                      size_t frame_length);

/* Clears and frees the key schedule; the cipher is dead from then on. May be called again. */
void frame_cipher_end(struct frame_cipher *cipher);

/* Ends the cipher and frees all of it. */
void frame_cipher_free(struct frame_cipher *cipher);

bool frame_cipher_is_alive(const struct frame_cipher *cipher);

/* The length of the plaintext in one frame. */
size_t frame_cipher_frame_length(const struct frame_cipher *cipher);

/*
 * Seals `count` frames' worth of `plaintext` into `frames`, which must not overlap. On failure nothing is left in
 * `frames`, and the cipher has ended.
 */
bool frame_cipher_seal(struct frame_cipher *cipher, uint32_t first, size_t count, const uint8_t *plaintext,
                       uint8_t *frames);

/*
 * Opens `count` frames, whose numbers must rise by one from `first`, into `plaintext`, which must not overlap. Returns
 * how many frames there were before the first that bears another number or is not authentic: `count` if all are well.
 * Else nothing is left in `plaintext`, and the cipher has ended.
 */
size_t frame_cipher_open(struct frame_cipher *cipher, uint32_t first, size_t count, const uint8_t *frames,
                         uint8_t *plaintext);

#endif
