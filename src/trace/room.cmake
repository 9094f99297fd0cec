qwen3_embed_page(qwen3_trace src/trace/report trace/report_page.h qwen3::report_page)
