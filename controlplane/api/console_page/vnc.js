// A VNC screen, by noVNC.
import RFB from "../novnc/core/rfb.js";
import { key } from "./keyboard.js";

const RETURN = 0xff0d;
const TAB = 0xff09;
const SHIFT = 0xffe1;

export function open(element, url, on) {
  const rfb = new RFB(element, url);
  rfb.scaleViewport = true;
  rfb.addEventListener("connect", on.connected);
  rfb.addEventListener("disconnect", (event) => on.lost(event.detail.clean ? "" : "the connection was lost"));
  rfb.addEventListener("securityfailure", (event) => on.lost(event.detail.reason));
  return {
    close: () => rfb.disconnect(),
    ctrlAltDel: () => rfb.sendCtrlAltDel(),
    press: (letter) => {
      const { shift } = key(letter); // QEMU looks for the key of a letter, and adds no Shift
      if (shift) rfb.sendKey(SHIFT, "ShiftLeft", true);
      rfb.sendKey(keysym(letter), null);
      if (shift) rfb.sendKey(SHIFT, "ShiftLeft", false);
    },
  };
}

function keysym(letter) {
  if (letter === "\n") return RETURN;
  if (letter === "\t") return TAB;
  const code = letter.codePointAt(0);
  return code < 0x100 ? code : 0x01000000 | code; // Latin-1 is itself, the rest is Unicode's own range
}
