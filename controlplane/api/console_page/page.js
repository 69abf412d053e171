// The page of one console: buttons, and one of two screens behind the same four calls.
import { type } from "./keyboard.js";
import * as vnc from "./vnc.js";
import * as spice from "./spice.js";

const $ = (id) => document.getElementById(id);
const socket = new URL("stream", location.href);
socket.protocol = socket.protocol.replace("http", "ws");
let screen = null;

function say(text, isLost) {
  $("status").textContent = text;
  document.body.dataset.state = isLost ? "lost" : text;
  $("reconnect").hidden = !isLost;
}

async function connect() {
  screen?.close();
  $("screen").replaceChildren();
  say("connecting", false);
  const answer = await fetch("info");
  if (!answer.ok) {
    say((await answer.text()).trim(), true);
    return;
  }
  const { name, protocol } = await answer.json();
  $("name").textContent = document.title = name;
  const open = { vnc: vnc.open, spice: spice.open }[protocol];
  if (!open) {
    say(`this page shows no ${protocol} console`, true);
    return;
  }
  screen = open($("screen"), socket.href, {
    connected: () => say("connected", false),
    lost: (why) => say(why || "the connection has ended", true),
  });
}

$("reconnect").onclick = connect;
$("ctrl-alt-del").onclick = () => screen?.ctrlAltDel();
$("full-screen").onclick = () => $("screen").requestFullscreen();
$("paste").onclick = async () => {
  $("paste-text").value = "";
  $("paste-dialog").showModal();
};
$("paste-dialog").onclose = () => {
  if ($("paste-dialog").returnValue === "type") type($("paste-text").value, (letter) => screen?.press(letter));
};
connect();
