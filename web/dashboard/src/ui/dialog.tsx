// A question or a form above the page. Radix keeps the focus inside and gives it back; the veil is ours, because
// Radix's own writes a style element, which our content security policy rightly refuses.

import * as Radix from "@radix-ui/react-dialog";
import { X } from "lucide-react";
import { type FormEvent, type ReactNode, useState } from "react";
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

export function Dialog({ title, description, open, onClose, wide, children }: DialogProps) {
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <div className="veil" aria-hidden />
        <Radix.Content className={`dialog ${wide ? "wide" : ""}`} onPointerDownOutside={stay} {...(description ? {} : { "aria-describedby": undefined })}>
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

export function FormDialog({ submit, busy, error, fields, onSubmit, children, ...dialog }: FormDialogProps) {
  const send = (event: FormEvent) => {
    event.preventDefault();
    event.stopPropagation();
    onSubmit();
  };
  return (
    <Dialog {...dialog}>
      <form onSubmit={send} className="dialog-form">
        <div className="dialog-body">
          {children}
          <FormError error={error} {...(fields ? { fields } : {})} />
        </div>
        <footer className="dialog-foot">
          <Button kind="ghost" onClick={dialog.onClose}>{t.cancel}</Button>
          <Button kind="primary" type="submit" busy={busy}>{submit}</Button>
        </footer>
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
