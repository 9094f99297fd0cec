qwen3_embed_page(qwen3_base src/base/page base/html_page.h qwen3::page_frame)
