// Decimal spellings of numbers as automata: how they compare to a bound, and which a divisor divides.
#pragma once

#include <cstdint>

#include "grammar/schema_number.h"

namespace qwen3 {

enum class NumberOrder { less, less_or_equal, greater, greater_or_equal };

// The spellings of the numbers that stand so to the bound; 1.5 and 1.50 alike.
TextDfa compared_spellings(NumberOrder order, const Decimal& bound);

// The spellings of the multiples of divisor / 10^n_behind_point.
TextDfa divisible_spellings(int64_t divisor, int64_t n_behind_point);

}  // namespace qwen3
