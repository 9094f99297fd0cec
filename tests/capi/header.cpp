// qwen3/c.h is C++11, too.
#include <qwen3/c.h>

qwen3_status nothing(qwen3_model model);
qwen3_status nothing(qwen3_model model) { return qwen3_model_close(model); }
