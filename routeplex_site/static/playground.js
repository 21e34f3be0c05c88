// The playground: each column is a request of its own, answered as it is written. Without it the form opens a page.
"use strict";

// Columns and what answers in them are in the same order.
const columnsOf = (form) => [...form.querySelectorAll("[data-column]")];
const targetsOf = (form) => [...form.querySelectorAll("[data-target]")];
const selectOf = (target) => target.querySelector("[name=target]");

function bodyOf(form, column) {
  const body = new FormData(form);
  body.set("target", selectOf(targetsOf(form)[columnsOf(form).indexOf(column)]).value);
  return body;
}

function showProblem(place, words) {
  const notice = document.createElement("p");
  notice.className = "notice notice-bad";
  notice.setAttribute("role", "alert");
  notice.textContent = words;
  place.replaceChildren(notice);
}

async function post(url, body, options = {}) {
  const response = await fetch(url, { method: "POST", body, ...options }).catch(unreachable);
  if (response.redirected) throw new Error("You are signed out. Reload the page.");
  if (response.ok) return response;
  if (response.status === 403) throw new Error("You may not send requests here, or are signed out. Reload the page.");
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.error || `That failed (${response.status}). Try again.`);
}

// ── An answer ──────────────────────────────────────────────────────────────────────────────────────────
async function answer(form, column, signal) {
  const part = (name) => column.querySelector(`[data-${name}]`);
  const text = part("answer");
  part("decision").replaceChildren();
  part("facts").replaceChildren();
  text.replaceChildren();
  text.classList.add("is-writing");
  let isEnded = false;
  try {
    const headers = { Accept: "text/event-stream" };
    const response = await post(form.action, bodyOf(form, column), { headers, signal });
    for await (const event of eventsOf(response)) {
      if (event.type === "begun") part("decision").innerHTML = event.html; // all HTML is rendered by the server
      else if (event.type === "piece") {
        const isAtEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
        text.append(event.text);
        if (isAtEnd) text.scrollTop = text.scrollHeight;
      } else {
        isEnded = true;
        if (event.type === "done") text.innerHTML = event.answer;
        part("facts").innerHTML = event.html;
      }
    }
    if (!isEnded) throw new Error("The answer broke off. Try again.");
  } catch (error) {
    showProblem(part("facts"), signal.aborted ? "Stopped. What was written so far is charged." : error.message);
  }
  text.classList.remove("is-writing");
}

const sending = new WeakMap(); // form → AbortController

async function send(form) {
  const running = sending.get(form);
  if (running) {
    running.abort();
    return;
  }
  const stop = new AbortController();
  const label = form.querySelector("[data-send-label]");
  const words = label.textContent;
  sending.set(form, stop);
  label.textContent = "Stop";
  await Promise.all(columnsOf(form).map((column) => answer(form, column, stop.signal)));
  label.textContent = words;
  sending.delete(form);
}

// ── The decision, and the request as code ──────────────────────────────────────────────────────────────
async function decide(form) {
  if (!form.reportValidity()) return;
  for (const column of columnsOf(form)) {
    const place = column.querySelector("[data-decision]");
    try {
      place.innerHTML = await (await post(form.dataset.decisionUrl, bodyOf(form, column))).text();
    } catch (error) {
      showProblem(place, error.message);
    }
  }
}

async function showCode(form, column) {
  if (!form.reportValidity()) return;
  const modal = document.getElementById("modal");
  try {
    modal.innerHTML = await (await post(form.dataset.codeUrl, bodyOf(form, column))).text();
    modal.showModal();
  } catch (error) {
    showProblem(column.querySelector("[data-facts]"), error.message);
  }
}

// ── Columns ────────────────────────────────────────────────────────────────────────────────────────────
function add(form) {
  const copy = (name) => form.querySelector(`[data-${name}-template]`).content.firstElementChild.cloneNode(true);
  const target = copy("target");
  const taken = new Set(targetsOf(form).map((other) => selectOf(other).value));
  const select = selectOf(target);
  select.value = [...select.options].find((option) => !taken.has(option.value)).value;
  form.querySelector("[data-targets]").append(target);
  form.querySelector("[data-columns]").append(copy("column"));
  select.focus();
  showState(form);
}

function showState(form) {
  const button = form.querySelector("[data-add]");
  if (!button) return;
  const selects = targetsOf(form).map(selectOf);
  columnsOf(form).forEach((column, at) => {
    column.querySelector("[data-title]").textContent = selects[at].selectedOptions[0].text;
  });
  button.disabled = selects.length >= Number(button.dataset.most);
  const query = new URLSearchParams(selects.map((select) => ["target", select.value]));
  history.replaceState(history.state, "", `?${query}`);
}

document.addEventListener("click", (event) => {
  const form = event.target.closest("[data-playground]");
  if (!form) return;
  const at = (selector) => event.target.closest(selector);
  if (at("[data-send]") && sending.has(form)) {
    event.preventDefault(); // stops even where the form is no longer valid
    send(form);
  } else if (at("[data-decide]")) decide(form);
  else if (at("[data-add]")) add(form);
  else if (at("[data-code]")) showCode(form, at("[data-column]"));
  else if (at("[data-remove]")) {
    const target = at("[data-target]");
    columnsOf(form)[targetsOf(form).indexOf(target)].remove();
    target.remove();
    showState(form);
  }
});
document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-playground]");
  if (form && event.target.name === "target") showState(form);
});
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-playground]");
  if (!form) return;
  event.preventDefault();
  send(form);
});
document.addEventListener("keydown", (event) => {
  const form = event.target.closest?.("[data-playground]");
  if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
