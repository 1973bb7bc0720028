// Buttons. One primary action to a view; what destroys says so in its colour.

import { Check, Copy, type LucideIcon } from "lucide-react";
import { type ButtonHTMLAttributes, useEffect, useState } from "react";
import { t } from "../text";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: "primary" | "plain" | "ghost" | "danger";
  size?: "small" | "normal";
  icon?: LucideIcon;
  busy?: boolean;
}

export function Button({ kind = "plain", size = "normal", icon: Icon, busy, children, className, disabled, ...rest }: ButtonProps) {
  return (
    <button type="button" className={`button ${kind} ${size} ${className ?? ""}`} disabled={disabled || busy} aria-busy={busy || undefined} {...rest}>
      {Icon && <Icon aria-hidden size={size === "small" ? 14 : 15} />}
      {children}
    </button>
  );
}

/** Only a picture; `label` is its name, read aloud and shown as a tip. */
export function IconButton({ label, icon: Icon, className, ...rest }: ButtonHTMLAttributes<HTMLButtonElement> & { label: string; icon: LucideIcon }) {
  return (
    <button type="button" className={`icon-button ${className ?? ""}`} title={label} {...rest}>
      <Icon aria-hidden size={16} />
      <span className="sr-only">{label}</span>
    </button>
  );
}

export function CopyButton({ text, what, disabled }: { text: string; what: string; disabled?: boolean }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = window.setTimeout(() => setCopied(false), 1_600);
    return () => window.clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
  };
  return (
    <button type="button" className="icon-button" title={t.copy(what)} onClick={() => void copy()} disabled={disabled}>
      {copied ? <Check aria-hidden size={15} className="text-good" /> : <Copy aria-hidden size={15} />}
      <span className="sr-only">{copied ? t.copied : t.copy(what)}</span>
    </button>
  );
}

/** Browsers lend the clipboard to secure pages only; plain HTTP in a studio's network has to do it the old way. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  (document.querySelector("[role=dialog]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
