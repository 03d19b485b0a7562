/* A program that exports nothing of Node or OpenSSL tries to load the addon, lazily: it must be refused at once. */
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
  if (count < 2 || dlopen(arguments[1], RTLD_LAZY) != NULL) return 1;
  puts(dlerror());
  return 0;
}
