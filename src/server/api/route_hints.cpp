#include "server/api/route_hints.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/nearest.h"
#include "base/text.h"

namespace qwen3::server {
namespace {

constexpr size_t kMaxPathBytes = 256;

// Routes of other servers, and old ones of OpenAI's. A "*" at the end stands for anything.
constexpr std::pair<std::string_view, std::string_view> kElsewhere[] = {
    // Ollama's
    {"/api/chat", "/v1/chat/completions"},
    {"/api/generate", "/v1/completions"},
    {"/api/tags", "/v1/models"},
    {"/api/ps", "/v1/models"},
    {"/api/show", "/v1/models"},
    {"/api/embed", "/v1/embeddings"},
    {"/api/embeddings", "/v1/embeddings"},
    {"/api/version", "/version"},
    // llama.cpp's, vLLM's, SGLang's, TGI's
    {"/completion", "/v1/completions"},
    {"/embedding", "/v1/embeddings"},
    {"/reranking", "/v1/rerank"},
    {"/infill", "/v1/completions"},
    {"/props", "/v1/models"},
    {"/slots", "/metrics"},
    {"/generate", "/v1/completions"},
    {"/generate_stream", "/v1/completions"},
    {"/get_model_info", "/v1/models"},
    {"/server_info", "/version"},
    {"/pooling", "/v1/embeddings"},
    {"/load", "/metrics"},
    // Old or other ones of OpenAI's and of its clients'
    {"/v1/engines*", "/v1/models"},
    {"/v1/edits", "/v1/chat/completions"},
    {"/v1/complete", "/v1/completions"},
    {"/v1/chat", "/v1/chat/completions"},
    {"/v1/chat/complete", "/v1/chat/completions"},
    {"/v1/chat/control", "/v1/chat/completions/control"},
    {"/chat", "/v1/chat/completions"},
    // Gemini's
    {"/v1beta/*", "/v1/chat/completions"},
    // What probes and people try
    {"/healthz", "/health"},
    {"/readyz", "/health"},
    {"/livez", "/health"},
    {"/ready", "/health"},
    {"/live", "/health"},
    {"/ping", "/health"},
    {"/status", "/health"},
    {"/v1", "/v1/models"},
    {"/docs", "/openapi.json"},
    {"/redoc", "/openapi.json"},
    {"/swagger*", "/openapi.json"},
    {"/api", "/openapi.json"},
    {"/openapi.yaml", "/openapi.json"}};

// Things that no checkpoint of Qwen3's text models does.
constexpr std::string_view kOtherKinds[] = {"/v1/audio/",
                                            "/v1/images/",
                                            "/v1/videos",
                                            "/v1/files",
                                            "/v1/batches",
                                            "/v1/fine_tuning/",
                                            "/v1/assistants",
                                            "/v1/threads",
                                            "/v1/moderations",
                                            "/v1/realtime"};

constexpr std::string_view kList = "GET /openapi.json lists what there is";

bool matches(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with('*')) return path == pattern;
  return path.starts_with(pattern.substr(0, pattern.size() - 1));
}

class RouteHints {
 public:
  explicit RouteHints(const std::vector<Route>& routes) {
    // What lies below a path says nothing of its own methods.
    std::set<std::string_view> whole;
    for (const Route& route : routes) whole.insert(route.path);
    for (const Route& route : routes) {
      std::string path = route.path;
      if (path.ends_with("/*")) {
        path.resize(path.size() - 2);
        if (whole.contains(path)) continue;
      }
      std::string& methods = methods_[path];
      if (methods.find(route.method) != std::string::npos) continue;
      methods += (methods.empty() ? "" : " or ") + route.method;
    }
    for (const auto& [path, methods] : methods_) {
      if (path.size() > 1) paths_.push_back(path);
    }
  }

  std::string hint(std::string_view asked) const {
    if (asked.size() > kMaxPathBytes) return std::string(kList);
    const std::string path = ascii_lower(asked);
    for (const std::string_view kind : kOtherKinds) {
      if (path.starts_with(kind)) return fmt::format("this server makes text only; {}", kList);
    }
    if (const auto use = elsewhere(path)) return use_instead(*use);
    if (const auto use = without_front(path)) {
      return use_instead(*use) + "; see how the base address ends: with one /v1";
    }
    std::string near = nearest(path, paths_);
    if (near.empty()) near = nearest("/v1" + path, paths_);
    if (!near.empty()) return use_instead(near);
    const auto use = elsewhere_behind(path);
    return use ? use_instead(*use) : std::string(kList);
  }

 private:
  std::optional<std::string> elsewhere(std::string_view path) const {
    for (const auto& [theirs, ours] : kElsewhere) {
      if (matches(theirs, path) && methods_.contains(std::string(ours))) return std::string(ours);
    }
    return std::nullopt;
  }

  // The path without some of its first segments, and then perhaps with /v1: the longest that is
  // there. "/v1/v1/models", "/openai/v1/models", "/models", "/v1/tokenize".
  std::optional<std::string> without_front(const std::string& path) const {
    for (size_t at = 0; at != std::string::npos; at = path.find('/', at + 1)) {
      const std::string rest = path.substr(at);
      if (at > 0 && known(rest)) return rest;
      if (known("/v1" + rest)) return "/v1" + rest;
    }
    return std::nullopt;
  }

  // A route of another server behind a base address of ours: "/v1/api/chat".
  std::optional<std::string> elsewhere_behind(const std::string& path) const {
    for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
      if (const auto use = elsewhere(path.substr(at))) return use;
    }
    return std::nullopt;
  }

  bool known(const std::string& path) const { return path.size() > 1 && methods_.contains(path); }

  std::string use_instead(const std::string& path) const {
    return fmt::format("use {} {}", methods_.at(path), path);
  }

  std::map<std::string, std::string> methods_;  // by path: "GET", "GET or POST"
  std::vector<std::string> paths_;
};

}  // namespace

std::function<std::string(std::string_view path)> make_route_hint(
    const std::vector<Route>& routes) {
  return [hints = std::make_shared<const RouteHints>(routes)](std::string_view path) {
    return hints->hint(path);
  };
}

}  // namespace qwen3::server
