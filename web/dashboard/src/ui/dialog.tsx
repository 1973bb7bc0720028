// A question or a form above the page. Radix keeps the focus inside; the veil is ours, because Radix's own writes a style element, which
// our content security policy rightly refuses.

import * as Radix from "@radix-ui/react-dialog";
import { X } from "lucide-react";
import { type FormEvent, type ReactNode, useRef, useState } from "react";
import { t } from "../text";
import { Button } from "./button";
import { FormError } from "./field";

interface DialogProps {
  title: string;
  description?: ReactNode;
  open: boolean;
  onClose: () => void;
  wide?: boolean;
  children: ReactNode;
}

/** A click beside it loses nothing that was typed, nor a key that is shown once. */
const stay = (event: Event) => event.preventDefault();

let newestOpener: HTMLElement | null = null;

/** What had the focus when the dialog came: of a menu, which is gone by then, its button; of a dialog that another follows, what had
 *  opened that. */
function opener(): HTMLElement | null {
  const had = document.activeElement as HTMLElement | null;
  if (had?.closest(".dialog")) return newestOpener;
  const button = had?.closest("[role=menu]")?.getAttribute("aria-labelledby");
  newestOpener = button ? document.getElementById(button) : had;
  return newestOpener;
}

/** The first field, or where there is none what can be done; not the cross, which undoes everything. */
function focusFirst(event: Event): void {
  event.preventDefault();
  const content = event.currentTarget as HTMLElement;
  if (content.querySelector(".dialog-body")?.contains(document.activeElement)) return;
  const first = content.querySelector<HTMLElement>(".dialog-body :is(input, select, textarea, button):not(:disabled)") ?? content.querySelector<HTMLElement>(".dialog-foot button:not(:disabled)");
  first?.focus();
}

export function Dialog({ title, description, open, onClose, wide, children }: DialogProps) {
  const opened = useRef<HTMLElement | null>(null);
  if (open) opened.current ??= opener();
  const giveBack = (event: Event) => {
    event.preventDefault();
    const to = opened.current;
    opened.current = null;
    // The row that it was opened from may be gone.
    (to?.isConnected && to !== document.body ? to : document.getElementById("main"))?.focus();
  };
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <div className="veil" aria-hidden />
        <Radix.Content className={`dialog ${wide ? "wide" : ""}`} onPointerDownOutside={stay} onOpenAutoFocus={focusFirst} onCloseAutoFocus={giveBack}
          {...(description ? {} : { "aria-describedby": undefined })}>
          <header className="dialog-head">
            <Radix.Title className="dialog-title">{title}</Radix.Title>
            <Radix.Close className="icon-button" title={t.close}>
              <X aria-hidden size={16} />
              <span className="sr-only">{t.close}</span>
            </Radix.Close>
          </header>
          {description && <Radix.Description className="dialog-description">{description}</Radix.Description>}
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface FormDialogProps extends Omit<DialogProps, "children"> {
  submit: string;
  busy: boolean;
  error: unknown;
  /** Fields that show their own errors. */
  fields?: string[];
  onSubmit: () => void;
  children: ReactNode;
}

export function FormDialog({ submit, busy, error, fields, onSubmit, onClose, children, ...dialog }: FormDialogProps) {
  const [typed, setTyped] = useState(false);
  const [asking, setAsking] = useState(false);
  // Escape and the cross: a key that was typed is not thrown away by a slip.
  const leave = () => (asking ? setAsking(false) : typed ? setAsking(true) : onClose());
  const send = (event: FormEvent) => {
    event.preventDefault();
    event.stopPropagation();
    onSubmit();
  };
  return (
    <Dialog {...dialog} onClose={leave}>
      <form onSubmit={send} onInput={() => setTyped(true)} className="dialog-form">
        <div className="dialog-body">
          {children}
          <FormError error={error} {...(fields ? { fields } : {})} />
        </div>
        {asking ? (
          <footer className="dialog-foot" role="alert">
            <span className="dialog-asks">{t.discard.question}</span>
            <Button kind="ghost" onClick={() => setAsking(false)} autoFocus>{t.discard.no}</Button>
            <Button kind="danger" onClick={onClose}>{t.discard.yes}</Button>
          </footer>
        ) : (
          <footer className="dialog-foot">
            <Button kind="ghost" onClick={onClose}>{t.cancel}</Button>
            <Button kind="primary" type="submit" busy={busy}>{submit}</Button>
          </footer>
        )}
      </form>
    </Dialog>
  );
}

interface ConfirmProps {
  title: string;
  body: ReactNode;
  action: string;
  open: boolean;
  onClose: () => void;
  onConfirm: () => Promise<unknown>;
}

/** Before what can't be undone. */
export function Confirm({ title, body, action, open, onClose, onConfirm }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const close = () => {
    setError(undefined);
    onClose();
  };
  const confirm = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await onConfirm();
      close();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} open={open} onClose={close} description={body}>
      <div className="dialog-body"><FormError error={error} /></div>
      <footer className="dialog-foot">
        <Button kind="ghost" onClick={close}>{t.cancel}</Button>
        <Button kind="danger" busy={busy} onClick={() => void confirm()}>{action}</Button>
      </footer>
    </Dialog>
  );
}
