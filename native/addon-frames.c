/* The frame cipher for JavaScript. All arguments are checked here: a wrong one throws, nothing is read past. */
#include "addon.h"

#include "arguments.h"
#include "frame-cipher.h"

static const napi_type_tag CIPHER = {UINT64_C(0x65736b6473747265), UINT64_C(0x9f1c3a5be27d4806)};

static struct frame_cipher *cipher_of(napi_env env, napi_value value) { return handle_of(env, &CIPHER, value); }

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  frame_cipher_free(data);
}

/* create(key, aad, frameLength): a handle. */
static napi_value create(napi_env env, napi_callback_info info) {
  napi_value arguments[MAX_ARGUMENTS];
  struct bytes key, aad;
  uint32_t frame_length;
  if (!arguments_of(env, info, arguments)) return NULL;
  if (!bytes_of(env, arguments[0], &key)) return throw_type(env, "the key must be a Uint8Array");
  if (!bytes_of(env, arguments[1], &aad)) return throw_type(env, "the AAD must be a Uint8Array");
  if (key.length != 16 && key.length != 24 && key.length != 32) {
    return throw_range(env, "an AES key has 16, 24 or 32 bytes");
  }
  if (aad.length < MIN_AAD_BYTES || aad.length > MAX_AAD_BYTES) {
    return throw_range(env, "an AAD has 12 to 128 bytes");
  }
  if (!integer_of(env, arguments[2], MAX_FRAME_LENGTH, &frame_length)) {
    return throw_range(env, "the frame length must be an integer in 1..1073741824");
  }
  struct frame_cipher *cipher = frame_cipher_new(key.data, key.length, aad.data, aad.length, frame_length);
  if (cipher == NULL) return throw_error(env, "OpenSSL gave no cipher");
  return new_handle(env, &CIPHER, cipher, finalize);
}

/* What sealing and opening have in common: a live cipher, a batch of whole frames, numbers and room for all of them. */
struct batch {
  struct frame_cipher *cipher;
  uint32_t first;
  size_t count;
  struct bytes input;
  struct bytes output;
};

/* (handle, input, first, output): a frame takes the frame length in one of them, and the overhead more in the other. */
static bool batch_of(napi_env env, napi_callback_info info, size_t in_overhead, size_t out_overhead,
                     struct batch *batch) {
  napi_value arguments[MAX_ARGUMENTS];
  if (!arguments_of(env, info, arguments)) return false;
  batch->cipher = cipher_of(env, arguments[0]);
  if (batch->cipher == NULL) return throw_type(env, "the handle must be one of a frame cipher"), false;
  if (!frame_cipher_is_alive(batch->cipher)) return throw_type(env, "this frame cipher has ended"), false;
  if (!bytes_of(env, arguments[1], &batch->input)) return throw_type(env, "the input must be a Uint8Array"), false;
  if (!integer_of(env, arguments[2], MAX_SEQUENCE_NUMBER - 1, &batch->first)) {
    return throw_range(env, "a sequence number must be an integer in 1..4294967294"), false;
  }
  if (!bytes_of(env, arguments[3], &batch->output)) return throw_type(env, "the output must be a Uint8Array"), false;
  const size_t length = frame_cipher_frame_length(batch->cipher);
  batch->count = batch->input.length / (length + in_overhead);
  if (batch->count == 0 || batch->input.length % (length + in_overhead) != 0) {
    return throw_range(env, "the input must be a whole number of frames, 1 or more"), false;
  }
  if (batch->count > MAX_SEQUENCE_NUMBER - batch->first) {
    return throw_range(env, "there are no numbers for so many frames"), false;
  }
  if (batch->output.length / (length + out_overhead) != batch->count ||
      batch->output.length % (length + out_overhead) != 0) {
    return throw_range(env, "the output must have room for as many frames as the input holds, and no more"), false;
  }
  if (overlap(batch->input, batch->output)) return throw_range(env, "input and output overlap"), false;
  return true;
}

/* seal(handle, plaintext, first, frames) */
static napi_value seal(napi_env env, napi_callback_info info) {
  struct batch batch;
  if (!batch_of(env, info, 0, FRAME_OVERHEAD, &batch)) return NULL;
  if (!frame_cipher_seal(batch.cipher, batch.first, batch.count, batch.input.data, batch.output.data)) {
    return throw_error(env, "OpenSSL could not seal a frame");
  }
  return NULL;
}

/* open(handle, frames, first, plaintext): how many frames came before the first that is wrong; all of them if none is. */
static napi_value open(napi_env env, napi_callback_info info) {
  struct batch batch;
  napi_value good;
  if (!batch_of(env, info, FRAME_OVERHEAD, 0, &batch)) return NULL;
  const size_t count =
      frame_cipher_open(batch.cipher, batch.first, batch.count, batch.input.data, batch.output.data);
  return napi_create_double(env, (double)count, &good) == napi_ok ? good : NULL;
}

/* end(handle): clears and frees the key schedule now rather than when the handle is collected. */
static napi_value end(napi_env env, napi_callback_info info) {
  napi_value arguments[MAX_ARGUMENTS];
  if (!arguments_of(env, info, arguments)) return NULL;
  struct frame_cipher *cipher = cipher_of(env, arguments[0]);
  if (cipher == NULL) return throw_type(env, "the handle must be one of a frame cipher");
  frame_cipher_end(cipher);
  return NULL;
}

bool define_frames(napi_env env, napi_value exports) {
  return define(env, exports, "create", create) && define(env, exports, "seal", seal) &&
         define(env, exports, "open", open) && define(env, exports, "end", end);
}
