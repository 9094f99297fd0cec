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
  if (!file().empty()) {
    return "; trusted are the authorities in " + file() + " (SSL_CERT_FILE, CURL_CA_BUNDLE)";
  }
  return "; set SSL_CERT_FILE to a PEM file of the authorities to trust: of the system (package "
         "ca-certificates), "
         "or of a proxy that opens TLS";
}

}  // namespace qwen3
