// What a source of a grammar, and the matching of an answer, may cost. Beyond: GrammarFault::too_complex, and
// for an answer that has begun, an Error whose message begins with kTooComplex.
#pragma once

#include <cstdint>

namespace qwen3 {

// Sources.
inline constexpr int64_t kMaxSchemaBytes = 1 << 20;
inline constexpr int64_t kMaxSchemaDepth = 64;
inline constexpr int64_t kMaxSchemaNodes = 50'000;
inline constexpr int64_t kMaxSchemaBranches = 256;  // of one schema, after distribution
inline constexpr int64_t kMaxEnumValues = 10'000;
inline constexpr int64_t kMaxRegexBytes = 16 << 10;
inline constexpr int64_t kMaxRegexDepth = 100;  // groups in groups
inline constexpr int64_t kMaxGbnfBytes = 256 << 10;
inline constexpr int64_t kMaxGbnfDepth = 100;  // parentheses in parentheses
inline constexpr int64_t kMaxChoices = 4096;
inline constexpr int64_t kMaxChoiceBytes = 1 << 20;  // all of them
inline constexpr int64_t kMaxRepeat = 1 << 20;       // a bound of a counted repetition

// Compiled.
inline constexpr int64_t kMaxDfaStates = 8192;
inline constexpr int64_t kMaxNfaStates = 65'536;
inline constexpr int64_t kMaxDfaWork =
    1 << 23;  // edges seen while one automaton is made: about 0.05 s
inline constexpr int64_t kMaxExprDepth = 1000;         // expressions in expressions
inline constexpr int64_t kMaxNetworkBytes = 16 << 20;  // one grammar

// An answer.
inline constexpr int64_t kMaxItems = 4096;            // of one configuration
inline constexpr int64_t kMaxMatcherBytes = 4 << 20;  // then it restarts from where the answer is
inline constexpr int64_t kMaxCachedMasks = 32;        // of one matcher

// 64 MiB together: what is kept of compiled grammars; all answers that run, which share theirs evenly; and the masks
// that answers of one grammar have in common.
inline constexpr int64_t kMaxCacheBytes = 32 << 20;
inline constexpr int64_t kMaxMatchersBytes = 24 << 20;
inline constexpr int64_t kMaxSharedMaskBytes = 8 << 20;
// Ways to read the answer that are looked at while masks are made, about 10 million a second: what an answer has at
// its beginning, and at most; and what each token adds.
inline constexpr int64_t kFirstWork = 400'000;
inline constexpr int64_t kWorkPerToken = 40'000;
inline constexpr const char* kTooComplex = "grammar_too_complex";

}  // namespace qwen3
