/*
 * What this addon needs of Node-API, version 8, whose binary interface never changes. Written out for the same reason
 * as openssl.h, and compiled beside the real declarations by the same spec.
 */
#ifndef ESDK_NODE_API_H
#define ESDK_NODE_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef ESDK_WITH_HEADERS
#define NAPI_VERSION 8
#include <node_api.h>
#else
typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);
typedef void (*napi_finalize)(napi_env env, void *data, void *hint);

typedef struct {
  uint64_t lower;
  uint64_t upper;
} napi_type_tag;

/* Enumerations of C, passed as int; only the values that are used. */
typedef enum { napi_ok } napi_status;
typedef enum { napi_external = 8 } napi_valuetype;
typedef enum { napi_uint8_array = 1 } napi_typedarray_type;
#endif

#define NODE_API_AUTO_LENGTH SIZE_MAX

napi_status napi_create_double(napi_env env, double value, napi_value *result);
napi_status napi_create_external(napi_env env, void *data, napi_finalize finalize, void *hint, napi_value *result);
napi_status napi_create_function(napi_env env, const char *name, size_t length, napi_callback callback, void *data,
                                 napi_value *result);
napi_status napi_check_object_type_tag(napi_env env, napi_value value, const napi_type_tag *tag, bool *result);
napi_status napi_get_boolean(napi_env env, bool value, napi_value *result);
napi_status napi_get_cb_info(napi_env env, napi_callback_info info, size_t *count, napi_value *arguments,
                             napi_value *self, void **data);
napi_status napi_get_typedarray_info(napi_env env, napi_value value, napi_typedarray_type *type, size_t *length,
                                     void **data, napi_value *array_buffer, size_t *offset);
napi_status napi_get_value_double(napi_env env, napi_value value, double *result);
napi_status napi_get_value_external(napi_env env, napi_value value, void **result);
napi_status napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);
napi_status napi_throw_error(napi_env env, const char *code, const char *message);
napi_status napi_throw_range_error(napi_env env, const char *code, const char *message);
napi_status napi_throw_type_error(napi_env env, const char *code, const char *message);
napi_status napi_type_tag_object(napi_env env, napi_value value, const napi_type_tag *tag);
napi_status napi_typeof(napi_env env, napi_value value, napi_valuetype *result);

#endif
