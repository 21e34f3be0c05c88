// "Try it" of the API reference: calls this server with the reader's key, which is stored nowhere.
"use strict";

async function tryIt(form) {
  const inputs = [...form.querySelectorAll("[data-parameter]")].filter((input) => input.value);
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const { dataset, value } of inputs) {
    if (dataset.place === "path") path = path.replace(`{${dataset.parameter}}`, encodeURIComponent(value));
    else query.set(dataset.parameter, value);
  }
  const headers = {};
  const key = form.querySelector("[data-key]");
  if (key) headers.Authorization = `Bearer ${key.value.trim()}`;
  const body = form.querySelector("[data-body]")?.value;
  if (body) headers["Content-Type"] = "application/json";
  const url = path + (query.size ? `?${query}` : "");
  const part = (name) => form.querySelector(`[data-${name}]`);
  part("answer").hidden = false;
  part("status").textContent = "Sending…";
  part("text").textContent = "";
  try {
    const options = { method: form.dataset.method, headers, body: body || undefined, credentials: "omit" };
    const response = await fetch(url, options).catch(unreachable);
    part("status").textContent = `${response.status} ${response.statusText}`;
    let text = "";
    for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
      const { done, value } = await reader.read().catch(unreachable);
      if (done) break;
      text += value;
      part("text").textContent = text;
    }
    if (response.headers.get("Content-Type")?.startsWith("application/json"))
      part("text").textContent = JSON.stringify(JSON.parse(text), null, 2);
  } catch (error) {
    part("status").textContent = error.message;
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-api-try]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  await tryIt(form);
  button.disabled = false;
});
