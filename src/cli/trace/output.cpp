#include "cli/trace/output.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cli/console.h"
#include "cli/trace/export.h"
#include "trace/export_json.h"
#include "trace/glob.h"

namespace qwen3::cli {
namespace {

// A token for a table: quoted, with control characters visible.
std::string shown(const Trace& trace, int32_t id) {
  return fmt::format("\"{}\"", quote_for_message(trace.token_text(id), 24));
}

bool matches(const TraceOptions& options, const TapRecord& tap) {
  return options.taps.empty() || std::ranges::any_of(options.taps, [&](const std::string& pattern) {
           return glob_match(pattern, tap.name);
         });
}

void print_taps(const TraceOptions& options, const Trace& trace) {
  if (options.taps.empty() && !options.output.json) return;
  std::string text;
  for (const TapRecord& tap : trace.statistics->records()) {
    if (!matches(options, tap)) continue;
    if (options.output.json) {
      print_json(tap_json(tap));
      continue;
    }
    const TensorStatistics& s = tap.statistics;
    text += fmt::format(
        "{:<44} {:<16} {:<8} mean={:<11.5g} std={:<10.5g} min={:<11.5g} max={:<10.5g} rms={:.5g}",
        tap.name,
        fmt::format("[{}]", fmt::join(tap.shape, ", ")),
        tap.dtype,
        s.mean,
        s.std,
        s.min,
        s.max,
        s.rms);
    if (!s.all_finite()) text += fmt::format(" NaN={} Inf={}", s.n_nan, s.n_inf);
    text += '\n';
  }
  print_out(text);
}

void print_routing(const TraceOptions& options, const Trace& trace) {
  const auto& layers = trace.routing->layers();
  if (options.output.json) {
    for (const LayerRouting& layer : layers) print_json({{"routing", routing_json(layer)}});
    return;
  }
  std::string text =
      "Expert routing (load entropy and router entropy: 1 is even; imbalance: largest load / "
      "mean)\n";
  for (const LayerRouting& layer : layers) {
    const RoutingSummary s = summarise(layer);
    text += fmt::format(
        "layer {:>2}: load [{}] idle {} entropy {:.3f} imbalance {:.2f} router {:.3f} aux {:.4f}\n",
        layer.layer,
        fmt::join(s.load, ", "),
        s.n_idle,
        s.load_entropy,
        s.imbalance,
        s.router_entropy,
        s.aux_loss);
  }
  const AuxLosses losses = auxiliary_losses(layers);
  text += fmt::format("auxiliary loss {:.6f} (transformers), {:.6f} (educational)\n",
                      losses.transformers,
                      losses.educational);
  for (size_t t = 0; t < trace.ids.size(); ++t) {
    const bool generated = trace.is_generated(static_cast<int64_t>(t));
    text += fmt::format("{:<{}} {:>3} {:<16}",
                        generated ? "generated" : "token",
                        trace.n_generated() > 0 ? 9 : 5,
                        t,
                        shown(trace, trace.ids[t]));
    for (const LayerRouting& layer : layers) {
      text += fmt::format(" L{}:", layer.layer);
      for (int64_t k = 0; k < layer.top_k; ++k) {
        const size_t at = t * static_cast<size_t>(layer.top_k) + static_cast<size_t>(k);
        text +=
            fmt::format("{}{}({:.2f})", k == 0 ? "" : ",", layer.experts[at], layer.weights[at]);
      }
    }
    text += '\n';
  }
  print_out(text);
}

void print_attention(const TraceOptions& options, const Trace& trace) {
  const std::vector<LayerAttention> layers = trace.attention->layers();
  if (options.output.json) {
    for (const LayerAttention& layer : layers) {
      print_json({{"attention", attention_json(layer)}});
    }
    return;
  }
  std::string text =
      "Attention per head (entropy in nats; own and first token's share; mean distance; what the "
      "last token attends to)\n";
  for (const LayerAttention& layer : layers) {
    for (size_t h = 0; h < layer.heads.size(); ++h) {
      const HeadSummary& head = layer.heads[h];
      text += fmt::format(
          "layer {:>2} head {:>2}: entropy {:.3f} self {:.3f} first {:.3f} distance {:>6.2f} top",
          layer.layer,
          h,
          head.entropy,
          head.self_share,
          head.first_share,
          head.mean_distance);
      for (const AttendedToken& token : head.top) {
        const int32_t id = trace.ids[static_cast<size_t>(token.position)];
        text += fmt::format(" {}:{}={:.2f}", token.position, shown(trace, id), token.share);
      }
      text += '\n';
    }
  }
  print_out(text);
}

void print_lens(const TraceOptions& options, const Trace& trace) {
  const LogitLens& lens = *trace.lens;
  if (options.output.json) {
    for (size_t layer = 0; layer < lens.layers().size(); ++layer) {
      const auto& rows = lens.layers()[layer];
      for (size_t row = 0; row < rows.size(); ++row) {
        print_json(
            {{"lens",
              {{"layer", layer},
               {"position", lens.first_row() + static_cast<int64_t>(row)},
               {"generated", trace.is_generated(lens.first_row() + static_cast<int64_t>(row))},
               {"top", lens_json(rows[row])}}}});
      }
    }
    return;
  }
  std::string text = "Logit lens: the next token as each layer would have it\n";
  const size_t n_rows = lens.layers().empty() ? 0 : lens.layers().front().size();
  for (size_t row = 0; row < n_rows; ++row) {
    const auto position = static_cast<size_t>(lens.first_row()) + row;
    text += fmt::format(
        "after {} {} {}\n",
        trace.is_generated(static_cast<int64_t>(position)) ? "generated token" : "token",
        position,
        shown(trace, trace.ids[position]));
    for (size_t layer = 0; layer < lens.layers().size(); ++layer) {
      text += fmt::format("  layer {:>2}:", layer);
      for (const LensToken& token : lens.layers()[layer][row]) {
        text += fmt::format(" {} {:.3f}", shown(trace, token.id), token.probability);
      }
      text += '\n';
    }
  }
  print_out(text);
}

void say_generated(const TraceOptions& options, const Trace& trace) {
  const std::vector<int32_t> ids(trace.ids.begin() + trace.n_prompt, trace.ids.end());
  std::string text;
  if (trace.text) {
    text = trace.text->decode(ids);
  } else {
    for (const int32_t id : ids) text += trace.token_text(id);
  }
  if (options.output.json) {
    print_json({{"generated", {{"first_token", trace.n_prompt}, {"ids", ids}, {"text", text}}}});
  } else if (options.output.talk()) {
    constexpr size_t kShownBytes = 200;
    print_note(fmt::format(
        "{} tokens generated: \"{}\"", ids.size(), quote_for_message(text, kShownBytes)));
  }
}

Json difference_json(const CompareTap::Difference& difference) {
  Json json{{"name", difference.name}};
  if (difference.shape_problem.empty()) {
    json["relative"] = difference.relative;
    json["largest"] = difference.largest;
    json["at"] = difference.at;
  } else {
    json["shape"] = difference.shape_problem;
  }
  return json;
}

// A reference whose files are named otherwise would agree by never being looked at: say how many.
ExitCode say_comparison(const TraceOptions& options, const CompareTap& compare) {
  QWEN3_CHECK(compare.n_compared() > 0,
              ErrorKind::not_found,
              "{}: no file is named after a tap; expected for example embed_tokens.npy",
              options.compare);
  const auto n_diverging = static_cast<int64_t>(compare.diverging().size());
  const CompareTap::Difference& telling =
      n_diverging == 0 ? compare.worst() : compare.diverging().front();
  if (options.output.json) {
    print_json({{"compare",
                 {{"tensors", compare.n_compared()},
                  {"diverging", n_diverging},
                  {"files_without_tensor", compare.n_unused()},
                  {n_diverging == 0 ? "worst" : "first", difference_json(telling)}}}});
  }
  const std::string unused =
      compare.n_unused() == 0
          ? ""
          : fmt::format("; files there without a tensor of their name: {}", compare.n_unused());
  if (n_diverging == 0) {
    if (!options.output.json) {
      print_out(fmt::format("{} tensors agree to {:g}; the worst is {} with {:.3g}{}\n",
                            compare.n_compared(),
                            options.tolerance,
                            telling.name,
                            telling.relative,
                            unused));
    }
    return kDone;
  }
  print_error(fmt::format(
      "qwen3 trace: {}: the first tensor that diverges from {}; {}; {} of {} tensors diverge{}",
      telling.name,
      options.compare,
      telling.shape_problem.empty()
          ? fmt::format(
                "expected |Δ|/|reference| <= {:g}, got {:.3g}, largest difference {:.3g} at {}",
                options.tolerance,
                telling.relative,
                telling.largest,
                telling.at)
          : telling.shape_problem,
      n_diverging,
      compare.n_compared(),
      unused));
  return kFailed;
}

// The verdict on the tensors themselves.
ExitCode judge(const TraceOptions& options, const Trace& trace) {
  ExitCode code = kDone;
  for (const std::string& pattern : options.taps) {
    const auto heard = [&](const TapRecord& tap) { return glob_match(pattern, tap.name); };
    if (std::ranges::any_of(trace.statistics->records(), heard)) continue;
    const std::string& backend = trace.model->info().backend;
    print_error(
        fmt::format("qwen3 trace: --taps \"{}\": expected a tensor of such a name; got none: the "
                    "names are known, "
                    "but this pass made no such tensor{}",
                    pattern,
                    backend == "reference" ? " (no token was routed there)"
                                           : "; --backend reference makes all of them"));
    code = kFailed;
  }
  if (trace.statistics) {
    if (const TapRecord* bad = trace.statistics->first_bad()) {
      const TensorStatistics& s = bad->statistics;
      print_error(
          fmt::format("qwen3 trace: {}: expected finite numbers; got {} NaN and {} infinities "
                      "among {}; this is "
                      "the first such tensor",
                      bad->name,
                      s.n_nan,
                      s.n_inf,
                      s.n));
      code = kFailed;
    }
  }
  if (trace.compare && say_comparison(options, *trace.compare) != kDone) code = kFailed;
  return code;
}

}  // namespace

ExitCode report_trace(const TraceOptions& options, const Trace& trace) {
  if (options.generate > 0) say_generated(options, trace);
  if (trace.statistics) print_taps(options, trace);
  if (options.routing && trace.routing->layers().empty()) {
    print_note("--routing: this model has no experts; one that has is -m nano-moe");
  } else if (options.routing) {
    print_routing(options, trace);
  }
  if (options.attention) print_attention(options, trace);
  if (options.lens > 0 && (options.html.empty() || options.output.json || options.lens_given)) {
    print_lens(options, trace);
  }
  if (!options.routing_out.empty()) write_routing(trace, options.routing_out);
  if (!options.attention_out.empty()) write_attention(trace, options.attention_out);
  if (!options.timeline.empty()) write_timeline(trace, options.timeline);
  if (!options.html.empty()) write_report(options, trace);
  if (options.output.talk() && !options.timeline.empty()) {
    print_note(fmt::format("{}: open it in https://ui.perfetto.dev", options.timeline));
  }
  if (options.output.talk() && options.watch && trace.statistics->first_bad() == nullptr) {
    print_note(fmt::format("{} tensors watched; all numbers are finite",
                           trace.statistics->records().size()));
  }
  if (options.output.talk() && !options.out.empty()) {
    print_note(fmt::format("{} taps in {}", trace.n_dumped, options.out));
  }
  return judge(options, trace);
}

}  // namespace qwen3::cli
