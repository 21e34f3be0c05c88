// The assistant's panel: greets by the hour and shows answers as they are written. Without it, forms open a page.
"use strict";

const hour = new Date().getHours();
const greeting = hour >= 5 && hour < 12 ? "Good morning!" : hour >= 12 && hour < 18 ? "Good afternoon!" : "Good evening!";
for (const heading of document.querySelectorAll("[data-greeting]")) heading.textContent = greeting;

const supportPath = "/docs/support";

function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function sourcesOf(whole) {
  const box = node("div", "assistant-sources");
  box.append(node("h2", "", "From the documentation"));
  const list = node("ol", "");
  for (const { title, url } of whole.sources) {
    const link = node("a", "", title);
    link.href = url;
    const item = node("li", "");
    item.append(link);
    list.append(item);
  }
  box.append(list);
  return box;
}

function showWhole(answer, whole, question) {
  answer.classList.remove("is-writing");
  answer.innerHTML = whole.html; // rendered by the server without raw HTML
  if (whole.sources.length) answer.append(sourcesOf(whole));
  if (whole.kind === "declined") {
    const link = node("a", "btn btn-sm", "Send it to support");
    link.href = `${supportPath}?question=${encodeURIComponent(question)}`;
    answer.append(link);
  }
}

let isAnswering = false;
let previous = "";

async function ask(form, question, log) {
  const body = new FormData(form);
  body.set("question", question);
  body.set("previous", previous);
  previous = question;
  log.append(node("p", "assistant-asked", question));
  const answer = node("div", "assistant-answer is-writing");
  log.append(answer);
  log.scrollTop = log.scrollHeight;
  try {
    const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/event-stream" } }).catch(
      unreachable,
    );
    if (!response.ok) {
      const problem = await response.json().catch(() => ({}));
      throw new Error(problem.error || "That failed. Reload the page and try again.");
    }
    let isWhole = false;
    for await (const event of eventsOf(response)) {
      if (event.type === "piece") answer.append(event.text);
      else {
        showWhole(answer, event, question);
        isWhole = true;
      }
      log.scrollTop = answer.offsetTop - log.offsetTop - 60;
    }
    if (!isWhole) throw new Error("The answer broke off. Try again.");
  } catch (error) {
    answer.classList.remove("is-writing");
    answer.append(node("p", "bad", error.message));
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("#assistant [data-assistant-form]");
  if (!form) return;
  event.preventDefault();
  const field = form.querySelector("input.input");
  const question = (event.submitter?.value || field?.value || "").trim();
  if (!question || isAnswering) return;
  if (field) field.value = "";
  isAnswering = true;
  await ask(form, question, document.querySelector("[data-assistant-log]"));
  isAnswering = false;
});

// Captured, because it does not bubble: the panel may be another one once a page is restored from history.
const onToggle = (event) => {
  if (event.target.id === "assistant" && event.newState === "open") event.target.querySelector("input.input").focus();
};
document.addEventListener("toggle", onToggle, true);
