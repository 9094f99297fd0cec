// The server before a model that says what it is told to, for agents whose prompts are beyond any
// small model: everything is real but the choice of the tokens.
//
//   scripted_server MODEL_DIRECTORY SCRIPT [PROMPTS [CONTEXT]]
//
// SCRIPT: a JSON object. "answers": the text after n results of tools, the last one for all that
// follow; "without_tools": the answer to requests that declare none. PROMPTS: a file to which the
// prompts are appended. Prints its address and serves until SIGTERM.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "server/api/api.h"
#include "server/api/served_model.h"
#include "server/api/service.h"
#include "server/http/http_server.h"
#include "server/messages/routes.h"
#include "server/responses/routes.h"

namespace {

using namespace qwen3;
using namespace qwen3::server;

struct Options {
  std::string directory, script, prompts;
  int64_t context = int64_t{1} << 18;
};

class ScriptedAgent final : public Generator {
 public:
  ScriptedAgent(const Text& text, const Options& options)
      : text_(text),
        script_(parse_json(options.script, "script")),
        prompts_(options.prompts),
        context_(options.context) {}

  uint64_t submit(Request request, Engine::OnEvent on_event) override {
    const std::string prompt = text_.decode(request.prompt_ids);
    const std::vector<int32_t> answer = text_.encode(answer_to(prompt));
    const int32_t end = text_.eos_token_ids().front();
    const int64_t n_cached = find_cached(request.prompt_ids, answer);
    for (size_t i = 0; i <= answer.size(); ++i) {
      Event event;
      event.token_id = i < answer.size() ? answer[i] : end;
      event.is_end_token = i == answer.size();
      event.usage.prompt_tokens = static_cast<int64_t>(request.prompt_ids.size());
      event.usage.cached_tokens = n_cached;
      event.usage.completion_tokens = static_cast<int64_t>(i + 1);
      if (event.is_end_token) event.finish = FinishReason::stop;
      on_event(event);
    }
    return ++n_requests_;
  }
  void cancel(uint64_t) override {}
  EngineStats stats() const override { return {}; }
  int64_t max_model_len() const override { return context_; }

 private:
  // What the engine's prefix cache would hold of the prompt: whole blocks of what was computed before.
  int64_t find_cached(const std::vector<int32_t>& prompt, const std::vector<int32_t>& answer) {
    const std::lock_guard lock(mutex_);
    std::ptrdiff_t longest = 0;
    for (const std::vector<int32_t>& seen : computed_) {
      const auto end = std::ranges::mismatch(prompt, seen).in1;
      longest = std::max(longest, end - prompt.begin());
    }
    longest = std::min(longest, std::ssize(prompt) - 1);  // the logits of the last one are wanted
    computed_.push_back(prompt);
    computed_.back().insert(computed_.back().end(), answer.begin(), answer.end());
    return longest / block_size_ * block_size_;
  }

  std::string answer_to(const std::string& prompt) {
    const std::lock_guard lock(mutex_);
    if (!prompts_.empty()) {
      std::ofstream(prompts_, std::ios::app) << prompt << "\n\n========\n\n";
    }
    if (prompt.find("<tools>") == prompt.npos) return script_.at("without_tools");
    size_t n = 0;
    for (size_t at = 0; (at = prompt.find("\n</tool_response>", at)) != prompt.npos; ++at) ++n;
    const Json& answers = script_.at("answers");
    return answers.at(std::min(n, answers.size() - 1));
  }

  const Text& text_;
  const Json script_;
  const std::string prompts_;
  const int64_t context_;
  const int64_t block_size_ = EngineOptions().block_size;
  std::vector<std::vector<int32_t>> computed_;  // by request: its prompt and answer
  std::mutex mutex_;
  uint64_t n_requests_ = 0;
};

int serve(const Options& how) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const Text text = Text::load(how.directory);
  ServiceOptions options{
      .model_names = {"scripted"}, .any_model_name = true, .version = "scripted"};
  Service service(options);
  ModelInfo info;
  info.vocab_size = text.n_tokens();
  service.set_model(make_served_model({.text = Text::load(how.directory),
                                       .generator = std::make_unique<ScriptedAgent>(text, how),
                                       .info = info},
                                      options));
  std::vector<Route> routes = make_routes(service);
  for (auto more : {make_responses_routes(service), make_messages_routes(service)}) {
    std::ranges::move(more, std::back_inserter(routes));
  }
  HttpOptions http;
  http.addresses = {"127.0.0.1"};
  http.port = 0;
  http.access_log = [](std::string_view line) { fmt::print(stderr, "{}\n", line); };
  HttpServer front(http, std::move(routes));
  fmt::print("listening on http://127.0.0.1:{}\n", front.port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  front.stop(std::chrono::milliseconds(0));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "scripted_server MODEL_DIRECTORY SCRIPT [PROMPTS [CONTEXT]]\n");
    return 2;
  }
  try {
    std::ifstream file(argv[2]);
    Options options{.directory = argv[1],
                    .script = {std::istreambuf_iterator<char>(file), {}},
                    .prompts = argc > 3 ? argv[3] : ""};
    if (argc > 4) options.context = parse_json(argv[4], "CONTEXT").get<int64_t>();
    return serve(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "scripted_server: {}\n", error.what());
    return 1;
  }
}
