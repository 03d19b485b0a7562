#include "arguments.h"

napi_value throw_type(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

napi_value throw_range(napi_env env, const char *message) {
  napi_throw_range_error(env, NULL, message);
  return NULL;
}

napi_value throw_error(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}

bool arguments_of(napi_env env, napi_callback_info info, napi_value *arguments) {
  size_t count = MAX_ARGUMENTS;
  return napi_get_cb_info(env, info, &count, arguments, NULL, NULL) == napi_ok;
}

bool bytes_of(napi_env env, napi_value value, struct bytes *bytes) {
  napi_typedarray_type type;
  void *data = NULL;
  if (napi_get_typedarray_info(env, value, &type, &bytes->length, &data, NULL, NULL) != napi_ok) return false;
  if (type != napi_uint8_array) return false;
  bytes->data = data;
  if (data == NULL) bytes->length = 0;
  return true;
}

bool overlap(struct bytes a, struct bytes b) {
  const uintptr_t start_a = (uintptr_t)a.data, start_b = (uintptr_t)b.data;
  return start_a < start_b + b.length && start_b < start_a + a.length;
}

bool integer_of(napi_env env, napi_value value, uint32_t most, uint32_t *result) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number >= 1 && number <= most)) return false;
  *result = (uint32_t)number;
  return (double)*result == number;
}

napi_value new_handle(napi_env env, const napi_type_tag *tag, void *data, napi_finalize finalize) {
  napi_value handle;
  if (napi_create_external(env, data, finalize, NULL, &handle) != napi_ok) {
    finalize(env, data, NULL);
    return throw_error(env, "Node gave no handle");
  }
  if (napi_type_tag_object(env, handle, tag) != napi_ok) return throw_error(env, "Node took no type tag");
  return handle;
}

void *handle_of(napi_env env, const napi_type_tag *tag, napi_value value) {
  napi_valuetype type;
  bool is_ours = false;
  void *data = NULL;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return NULL;
  if (napi_check_object_type_tag(env, value, tag, &is_ours) != napi_ok || !is_ours) return NULL;
  return napi_get_value_external(env, value, &data) == napi_ok ? data : NULL;
}

bool define(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function;
  return napi_create_function(env, name, NODE_API_AUTO_LENGTH, callback, NULL, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}
