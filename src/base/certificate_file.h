// Which certificate authorities outgoing HTTPS trusts: those that libcurl was built to find, or those of a file that
// the command line names before the first request. One choice for the process, whoever makes the request.
#pragma once

#include <string>

namespace qwen3 {

// A PEM file; empty: libcurl's own choice. Not while another thread makes requests.
void set_certificate_file(std::string path);
const std::string& certificate_file();

// For the end of an error about a certificate: whose authorities are trusted, and what to do about it.
std::string certificate_remedy();

}  // namespace qwen3
