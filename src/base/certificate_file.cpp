#include "base/certificate_file.h"

#include <utility>

namespace qwen3 {
namespace {

std::string& file() {
  static std::string path;
  return path;
}

}  // namespace

void set_certificate_file(std::string path) { file() = std::move(path); }

const std::string& certificate_file() { return file(); }

std::string certificate_remedy() {
  return (file().empty() ? std::string(" (libcurl's own)")
                         : " (" + file() + ", from SSL_CERT_FILE)") +
         "; install ca-certificates, or set SSL_CERT_FILE to a PEM file of the authorities that "
         "you trust";
}

}  // namespace qwen3
