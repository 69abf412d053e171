// A SPICE screen, by spice-html5.
import { SpiceMainConn, sendCtrlAltDel } from "../spice-html5/main.js";
import { handle_keydown, handle_keyup } from "../spice-html5/inputs.js";
import { key } from "./keyboard.js";

const CODES = {
  "\n": 13, "\t": 9, " ": 32, "`": 192, "-": 189, "=": 187, "[": 219, "]": 221, "\\": 220, ";": 186, "'": 222,
  ",": 188, ".": 190, "/": 191,
};
const SHIFT = 16;

export function open(element, url, on) {
  const area = document.createElement("div");
  area.id = "spice-screen";
  element.append(area);
  let ended = false;
  const lost = (why) => {
    if (!ended) on.lost(why);
    ended = true;
  };
  const connection = new SpiceMainConn({
    uri: url, screen_id: "spice-screen", message_id: "message-div", password: "", onsuccess: on.connected,
    onerror: (error) => lost(error?.message),
  });
  const old = connection.ws.onclose;
  connection.ws.addEventListener("close", () => lost(""));
  if (old) connection.ws.onclose = old;
  const event = (handler, keyCode, shiftKey) =>
    handler.call({ sc: connection }, { keyCode, shiftKey, preventDefault() {} });
  return {
    close: () => {
      ended = true;
      connection.stop();
    },
    ctrlAltDel: () => sendCtrlAltDel(connection),
    press: (letter) => {
      const { plain, shift } = key(letter);
      const code = CODES[plain] ?? plain.toUpperCase().charCodeAt(0);
      if (shift) event(handle_keydown, SHIFT, false);
      event(handle_keydown, code, shift);
      event(handle_keyup, code, shift);
      if (shift) event(handle_keyup, SHIFT, true);
    },
  };
}
