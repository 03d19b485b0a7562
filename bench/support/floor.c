/* The frames of a message over a bare OpenSSL: one context, keyed once, and an IV a frame. Nothing is checked here. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_info__ *napi_info;
typedef napi_value (*napi_callback)(napi_env, napi_info);
int napi_get_cb_info(napi_env, napi_info, size_t *, napi_value *, napi_value *, void **);
int napi_get_typedarray_info(napi_env, napi_value, int *, size_t *, void **, napi_value *, size_t *);
int napi_get_value_uint32(napi_env, napi_value, uint32_t *);
int napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
int napi_set_named_property(napi_env, napi_value, const char *, napi_value);
int napi_get_boolean(napi_env, _Bool, napi_value *);

typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *);
const EVP_CIPHER *EVP_aes_256_gcm(void);
int EVP_CipherInit_ex(EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const uint8_t *, const uint8_t *, int);
int EVP_CipherUpdate(EVP_CIPHER_CTX *, uint8_t *, int *, const uint8_t *, int);
int EVP_CipherFinal_ex(EVP_CIPHER_CTX *, uint8_t *, int *);
int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *, int, int, void *);

enum { IV_BYTES = 12, NUMBER_BYTES = 4, TAG_BYTES = 16, AAD_BYTES = 72, GET_TAG = 0x10, SET_TAG = 0x11 };

static void write_number(uint8_t *to, uint32_t number) {
  for (int i = 0; i < NUMBER_BYTES; i++) to[i] = (uint8_t)(number >> (24 - 8 * i));
}

/* (key, plaintext, frames, frameLength): whether all went well. */
static napi_value run(napi_env env, napi_info info, int seals) {
  napi_value arguments[4], result;
  size_t count = 4, bytes = 0;
  void *data[3];
  uint32_t length = 0;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  for (int i = 0; i < 3; i++) {
    size_t each = 0;
    napi_get_typedarray_info(env, arguments[i], NULL, &each, &data[i], NULL, NULL);
    if (i == 1) bytes = each;
  }
  napi_get_value_uint32(env, arguments[3], &length);
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  int good = EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, data[0], NULL, seals), done;
  uint8_t aad[AAD_BYTES] = {0}, none[TAG_BYTES], *plaintext = data[1], *frame = data[2];
  for (uint32_t number = 1; number <= bytes / length && good; number++) {
    uint8_t *iv = frame + NUMBER_BYTES, *ciphertext = iv + IV_BYTES, *tag = ciphertext + length;
    write_number(aad + AAD_BYTES - NUMBER_BYTES, number);
    if (seals) {
      write_number(frame, number);
      memset(iv, 0, IV_BYTES);
      write_number(iv + IV_BYTES - NUMBER_BYTES, number);
    }
    good = EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, seals) &&
           EVP_CipherUpdate(context, NULL, &done, aad, AAD_BYTES) &&
           (seals ? EVP_CipherUpdate(context, ciphertext, &done, plaintext, (int)length)
                  : EVP_CipherUpdate(context, plaintext, &done, ciphertext, (int)length)) &&
           (seals || EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG_BYTES, tag)) &&
           EVP_CipherFinal_ex(context, none, &done) &&
           (!seals || EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG_BYTES, tag));
    plaintext += length;
    frame = tag + TAG_BYTES;
  }
  EVP_CIPHER_CTX_free(context);
  napi_get_boolean(env, good != 0, &result);
  return result;
}

static napi_value seal(napi_env env, napi_info info) { return run(env, info, 1); }
static napi_value open(napi_env env, napi_info info) { return run(env, info, 0); }

int32_t node_api_module_get_api_version_v1(void) { return 8; }

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "seal", SIZE_MAX, seal, NULL, &function);
  napi_set_named_property(env, exports, "seal", function);
  napi_create_function(env, "open", SIZE_MAX, open, NULL, &function);
  napi_set_named_property(env, exports, "open", function);
  return exports;
}
