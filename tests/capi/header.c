/* qwen3/c.h is C99, with nothing before it. */
#include <qwen3/c.h>

size_t size_of_request(void);
size_t size_of_request(void) { return sizeof(qwen3_request); }
