/* What the functions of the addon do first: look at what they were called with. A wrong argument throws. */
#ifndef ESDK_ARGUMENTS_H
#define ESDK_ARGUMENTS_H

#include "node-api.h"

enum { MAX_ARGUMENTS = 6 };

struct bytes {
  uint8_t *data;
  size_t length;
};

/* Each throws, and returns NULL for the function to return. */
napi_value throw_type(napi_env env, const char *message);
napi_value throw_range(napi_env env, const char *message);
napi_value throw_error(napi_env env, const char *message);

/* Those that were not passed are undefined. */
bool arguments_of(napi_env env, napi_callback_info info, napi_value *arguments);

/* A Uint8Array's bytes; none of a detached one. */
bool bytes_of(napi_env env, napi_value value, struct bytes *bytes);

/* Whether they share any memory. */
bool overlap(struct bytes a, struct bytes b);

/* An integer from 1 to `most`. */
bool integer_of(napi_env env, napi_value value, uint32_t most, uint32_t *result);

/* A handle for data, marked, so that no other addon's is taken for one. Throws and frees the data where there is none. */
napi_value new_handle(napi_env env, const napi_type_tag *tag, void *data, napi_finalize finalize);

/* The data of a handle of that mark, else NULL. */
void *handle_of(napi_env env, const napi_type_tag *tag, napi_value value);

/* Adds a function to the addon. */
bool define(napi_env env, napi_value exports, const char *name, napi_callback callback);

#endif
