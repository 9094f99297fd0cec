// The pictures of docs/images: `node pictures.mjs URL KEYED_URL KEY FOLDER`, as script/test-page calls it.
import path from "node:path";
import { chromium } from "playwright-core";

const [url, , , folder] = process.argv.slice(2);
const program = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const context = await program.newContext({ viewport: { width: 1280, height: 720 }, locale: "en-US", colorScheme: "light" });
const page = await context.newPage();
await page.goto(url + "/");
await page.waitForSelector("#welcome h2");
for (const text of ["What is the weather in Paris?", "What is 12 + 30?", "What can you do?"]) {
  if (await page.isVisible(".message")) await page.click("#new");
  await page.fill("#input", text);
  await page.press("#input", "Enter");
  await page.waitForSelector(".about span");
}
if (await page.isVisible("#toggle-experts")) await page.click("#toggle-experts");
await page.click("#toggle-tokens");
// The small model is sure of what it was trained to say; on another path it is not.
await page.locator(".token").nth(8).click();
await page.locator(".rival").nth(1).click();
await page.waitForFunction(() => document.querySelector(".assistant .branch-at")?.textContent === "2/2");
await page.waitForSelector(".about span");
// The token that was the least sure.
await page.evaluate(() => {
  const level = (one) => Number(/p(\d)/.exec(one.className)[1]);
  [...document.querySelectorAll(".token")].reduce((a, b) => (level(b) < level(a) ? b : a)).click();
});
await page.waitForSelector("#inspector:not([hidden])");
await page.screenshot({ path: path.join(folder, "chat.png") });
await program.close();
