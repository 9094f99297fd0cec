// POST /v1/rerank (Jina's and Cohere's shape) and /v1/score (vLLM's) with a Qwen3-Reranker: the
// model is asked whether a document answers the query, and the score is
//
//   P(yes) / (P(yes) + P(no)) = 1 / (1 + exp(log P(no) - log P(yes)))
//
// at the last position of the official prompt. Query and documents are never read as control
// tokens.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

#include "server/api/handlers.h"
#include "server/api/json_writer.h"
#include "server/api/scored_prompts.h"

namespace qwen3::server {
namespace {

constexpr std::string_view kPromptBegin =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    "the Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n"
    "<|im_start|>user\n";
constexpr std::string_view kPromptEnd =
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
constexpr const char* kInstruction =
    "Given a web search query, retrieve relevant passages that answer the query";

// One query may stand in thousands of pairs.
struct Pair {
  std::string_view query, document;
};

std::vector<int32_t> prompt_ids(const ServedModel& model,
                                const std::string& instruction,
                                const Pair& pair) {
  std::vector<int32_t> ids = model.text.encode(kPromptBegin);
  const std::vector<int32_t> body = model.text.encode_untrusted(fmt::format(
      "<Instruct>: {}\n<Query>: {}\n<Document>: {}", instruction, pair.query, pair.document));
  const std::vector<int32_t> end = model.text.encode(kPromptEnd);
  ids.insert(ids.end(), body.begin(), body.end());
  ids.insert(ids.end(), end.begin(), end.end());
  return ids;
}

using Scores = ScoredPrompts<double>;

void start_scores(Service& service,
                  const ServedModel& model,
                  const HttpRequest& http,
                  const ExchangePtr& exchange,
                  const std::string& instruction,
                  const std::vector<Pair>& pairs,
                  Scores::Shape shape) {
  Scores scores(service, model, http, exchange, "documents", "query");
  for (const Pair& pair : pairs) {
    scores.add(prompt_ids(model, instruction, pair),
               "documents",
               {model.yes, model.no},
               [](std::span<const double> logprobs) {
                 return 1.0 / (1.0 + std::exp(logprobs[1] - logprobs[0]));
               });
  }
  scores.start(std::move(shape), kRequestsAtOnce);
}

// A text, or {"text":…} as Cohere and Jina allow.
std::string read_document(const Json& value, const std::string& path) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object()) {
    if (auto text = Fields(value, path).text("text", SIZE_MAX)) return *std::move(text);
  }
  refuse(path, fmt::format("expected a text or {{\"text\": …}}, got {}", describe(value)));
}

std::vector<std::string> read_documents(Fields& fields, const char* name, const ApiLimits& limits) {
  const Json* value = fields.value(name);
  if (value == nullptr) refuse(name, "is missing");
  if (value->is_string()) return {value->get<std::string>()};
  const Json* list = fields.array(name, static_cast<size_t>(limits.max_inputs));
  if (list->empty()) refuse(name, "expected at least one, got none");
  std::vector<std::string> documents;
  for (const Json& one : *list) {
    documents.push_back(read_document(one, fmt::format("{}[{}]", name, documents.size())));
  }
  return documents;
}

std::string read_instruction(Fields& fields) {
  const std::string_view name = fields.one_of({"instruction", "instruct"});
  return name.empty() ? kInstruction : *fields.text(name, 64 << 10);
}

std::string rerank_json(const std::string& id,
                        const std::string& model_name,
                        const std::vector<std::string>& documents,
                        size_t top_n,
                        bool with_text,
                        const std::vector<double>& scores,
                        int64_t n_tokens) {
  std::vector<size_t> order(scores.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(order.size(), top_n));
  std::string out = R"({"id":)";
  append_json_string(out, id);
  out += R"(,"model":)";
  append_json_string(out, model_name);
  out += R"(,"results":[)";
  for (const size_t i : order) {
    if (out.back() != '[') out += ',';
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"relevance_score":{})", i, scores[i]);
    if (with_text) {
      out += R"(,"document":{"text":)";
      append_json_string(out, documents[i]);
      out += '}';
    }
    out += '}';
  }
  fmt::format_to(std::back_inserter(out),
                 R"(],"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})",
                 n_tokens);
  return out;
}

std::string score_json(const std::string& id,
                       const std::string& model_name,
                       int64_t created,
                       const std::vector<double>& scores,
                       int64_t n_tokens) {
  std::string out = R"({"id":)";
  append_json_string(out, id);
  fmt::format_to(std::back_inserter(out), R"(,"object":"list","created":{},"model":)", created);
  append_json_string(out, model_name);
  out += R"(,"data":[)";
  for (size_t i = 0; i < scores.size(); ++i) {
    fmt::format_to(std::back_inserter(out),
                   R"({}{{"index":{},"object":"score","score":{}}})",
                   i > 0 ? "," : "",
                   i,
                   scores[i]);
  }
  fmt::format_to(std::back_inserter(out),
                 R"(],"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})",
                 n_tokens);
  return out;
}

}  // namespace

void rerank(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  require_task(model, Task::rerank, "/v1/rerank");
  const auto query = fields.text("query", SIZE_MAX);
  if (!query) refuse("query", "is missing");
  std::vector<std::string> documents =
      read_documents(fields, "documents", service.options().limits);
  const auto top_n = fields.integer("top_n", 1, INT32_MAX);
  const bool with_text = fields.boolean("return_documents").value_or(true);
  const std::string instruction = read_instruction(fields);
  note_unread(fields, *exchange);
  std::vector<Pair> pairs;
  for (const std::string& document : documents) pairs.push_back({*query, document});
  const auto n_results = static_cast<size_t>(top_n.value_or(INT32_MAX));
  start_scores(
      service,
      model,
      http,
      exchange,
      instruction,
      pairs,
      [id = "rerank-" + http.id, name = service.model_name(), documents, n_results, with_text](
          const std::vector<double>& scores, const TokenUsage& usage) {
        return rerank_json(id, name, documents, n_results, with_text, scores, usage.prompt_tokens);
      });
}

void score(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const ServedModel& model = service.model_named(read_model_name(fields));
  require_task(model, Task::rerank, "/v1/score");
  const ApiLimits& limits = service.options().limits;
  const std::vector<std::string> queries = read_documents(fields, "text_1", limits);
  const std::vector<std::string> documents = read_documents(fields, "text_2", limits);
  if (queries.size() != 1 && queries.size() != documents.size()) {
    refuse("text_1",
           fmt::format("expected one text or as many as text_2 has ({}), got {}",
                       documents.size(),
                       queries.size()));
  }
  const std::string instruction = read_instruction(fields);
  note_unread(fields, *exchange);
  std::vector<Pair> pairs;
  for (size_t i = 0; i < documents.size(); ++i) {
    pairs.push_back({queries[queries.size() == 1 ? 0 : i], documents[i]});
  }
  start_scores(service,
               model,
               http,
               exchange,
               instruction,
               pairs,
               [id = "score-" + http.id, name = service.model_name(), created = service.started()](
                   const std::vector<double>& scores, const TokenUsage& usage) {
                 return score_json(id, name, created, scores, usage.prompt_tokens);
               });
}

}  // namespace qwen3::server
