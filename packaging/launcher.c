// bin/qwen3 of the relocatable archive: starts the program in lib/qwen3 with the C library and the other libraries
// that lie beside it, so that none of the system's are needed. Linked statically, it runs where there is no libc.
//
//   bin/qwen3            this launcher
//   lib/qwen3/qwen3      glibc's dynamic loader; it has the program's name because processes are listed by it
//   lib/qwen3/program    the program, as the Debian package has it
//   lib/qwen3/*.so.*     what it is linked with
//   lib/qwen3/ca-certificates.crt    Mozilla's authorities, for systems that bring none
//
// Of the environment it changes one thing: SSL_CERT_FILE, if it is not set, names the authorities that qwen3 trusts.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { kWrong = 1 };

// Where distributions keep their authorities: Debian and Alpine, Fedora and RHEL, openSUSE, others.
static const char* const kSystemCertificates[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

static int fail(const char* what, const char* path) {
  fprintf(stderr,
          "qwen3: %s: %s: %s; unpack the whole archive and keep its folders together, or link to "
          "bin/qwen3\n",
          path,
          what,
          strerror(errno));
  return kWrong;
}

// PATH = FOLDER/NAME. False when that is longer than a path may be.
static int join(char path[PATH_MAX], const char* folder, const char* name) {
  const int n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
  errno = ENAMETOOLONG;
  return n > 0 && n < PATH_MAX;
}

static const char* certificates(char path[PATH_MAX], const char* folder) {
  for (size_t i = 0; i < sizeof kSystemCertificates / sizeof *kSystemCertificates; ++i) {
    if (access(kSystemCertificates[i], R_OK) == 0) return kSystemCertificates[i];
  }
  return join(path, folder, "ca-certificates.crt") ? path : NULL;
}

int main(int argc, char** argv) {
  // What the kernel was asked to start: right without /proc, and behind links.
  const char* started = (const char*)getauxval(AT_EXECFN);
  char self[PATH_MAX], folder[PATH_MAX], loader[PATH_MAX], program[PATH_MAX], authorities[PATH_MAX];
  if (started == NULL || realpath(started, self) == NULL) {
    return fail("cannot find the archive's folder", started == NULL ? "bin/qwen3" : started);
  }
  for (int levels = 0; levels < 2; ++levels) {
    char* slash = strrchr(self, '/');
    if (slash == NULL) {
      errno = ENOENT;
      return fail("expected it in a folder bin", started);
    }
    *slash = '\0';
  }
  if (!join(folder, self, "lib/qwen3") || !join(loader, folder, "qwen3") ||
      !join(program, folder, "program")) {
    return fail("the path of its folder is too long", started);
  }
  const char* file = getenv("SSL_CERT_FILE");
  if (file == NULL || *file == '\0') {
    const char* found = certificates(authorities, folder);
    if (found != NULL) setenv("SSL_CERT_FILE", found, 1);
  }
  // The loader takes a list of folders here, parted by colons or semicolons, with variables that begin with $.
  if (strpbrk(folder, ":;$") != NULL) {
    errno = EINVAL;
    return fail("the path of its folder may hold none of : ; $", folder);
  }
  char* head[] = {loader,
                  "--inhibit-cache",
                  "--library-path",
                  folder,
                  "--argv0",
                  argc > 0 ? argv[0] : "qwen3",
                  program};
  const size_t n_head = sizeof head / sizeof *head;
  char** words = calloc(n_head + (size_t)argc + 1, sizeof *words);
  if (words == NULL) return fail("no memory to start", loader);
  memcpy(words, head, sizeof head);
  for (int i = 1; i < argc; ++i) words[n_head + (size_t)i - 1] = argv[i];
  execv(loader, words);
  return fail("cannot be started", loader);
}
