// A SPICE screen, by spice-html5.
import { SpiceMainConn, sendCtrlAltDel } from "../spice-html5/main.js";
import { handle_keydown, handle_keyup } from "../spice-html5/inputs.js";

const SHIFTED = Object.fromEntries([...'~!@#$%^&*()_+{}|:"<>?'].map((letter, i) => [letter, "`1234567890-=[]\\;',./"[i]]));
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
  const press = (code) => key(handle_keydown, code);
  const release = (code) => key(handle_keyup, code);
  function key(handler, keyCode) {
    handler.call({ sc: connection }, { keyCode, preventDefault() {}, shiftKey: shifted });
  }
  let shifted = false;
  return {
    close: () => {
      ended = true;
      connection.stop();
    },
    ctrlAltDel: () => sendCtrlAltDel(connection),
    type: (text) => {
      for (const letter of text.replaceAll("\r\n", "\n")) {
        const plain = SHIFTED[letter] ?? letter.toLowerCase();
        const code = CODES[plain] ?? plain.toUpperCase().charCodeAt(0);
        const needsShift = plain !== letter;
        if (needsShift) press(SHIFT);
        shifted = needsShift;
        press(code);
        release(code);
        if (needsShift) release(SHIFT);
        shifted = false;
      }
    },
  };
}
