//! Splits an aggregate message (type 22) into the messages inside it.
