// A VNC screen, by noVNC.
import RFB from "../novnc/core/rfb.js";

const RETURN = 0xff0d;
const TAB = 0xff09;

export function open(element, url, on) {
  const rfb = new RFB(element, url);
  rfb.scaleViewport = true;
  rfb.addEventListener("connect", on.connected);
  rfb.addEventListener("disconnect", (event) => on.lost(event.detail.clean ? "" : "the connection was lost"));
  rfb.addEventListener("securityfailure", (event) => on.lost(event.detail.reason));
  return {
    close: () => rfb.disconnect(),
    ctrlAltDel: () => rfb.sendCtrlAltDel(),
    type: (text) => {
      for (const letter of text.replaceAll("\r\n", "\n")) rfb.sendKey(keysym(letter), null);
    },
  };
}

function keysym(letter) {
  if (letter === "\n") return RETURN;
  if (letter === "\t") return TAB;
  const code = letter.codePointAt(0);
  return code < 0x100 ? code : 0x01000000 | code; // Latin-1 is itself, the rest is Unicode's own range
}
