;; Looks for a key of a JSON object in the memory, 64 bytes at a time: where it is written as it is, and where one of its letters
;; may be written as an escape. `npm run wasm` makes key-scan-wasm.ts of it; key-scan.ts is what calls it and what knows more.
(module
  (memory (export "memory") 1 1)

  ;; The first place from $at on where either $key stands, the first four bytes of the quoted key, or `u00` and a digit from $low to
  ;; $high, which is how the escapes of its letters go on behind their backslash. If there is none before $end, any place from $end
  ;; on. It reads up to 80 bytes behind $end.
  (func (export "find") (param $at i32) (param $end i32) (param $key i32) (param $low i32) (param $high i32) (result i32)
    (local $bytes v128)
    (local $key0 v128) (local $key1 v128) (local $key2 v128) (local $key3 v128)
    (local $keyPair v128) (local $escapePair v128)
    (local $blockEnd i32) (local $found i32)
    (local.set $key0 (i8x16.splat (local.get $key)))
    (local.set $key1 (i8x16.splat (i32.shr_u (local.get $key) (i32.const 8))))
    (local.set $key2 (i8x16.splat (i32.shr_u (local.get $key) (i32.const 16))))
    (local.set $key3 (i8x16.splat (i32.shr_u (local.get $key) (i32.const 24))))
    (local.set $keyPair (i16x8.splat (local.get $key)))
    (local.set $escapePair (i16x8.splat (i32.const 0x3075))) ;; "u0"

    (loop $blocks
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (local.get $at))))
      (local.set $blockEnd (i32.add (local.get $at) (i32.const 64)))

      ;; Most blocks hold neither `u0` nor the first two bytes of the key: the pairs of bytes at even places, and those at odd ones.
      (v128.or (i16x8.eq (local.tee $bytes (v128.load offset=0 align=1 (local.get $at))) (local.get $keyPair))
               (i16x8.eq (local.get $bytes) (local.get $escapePair)))
      (v128.or (i16x8.eq (local.tee $bytes (v128.load offset=1 align=1 (local.get $at))) (local.get $keyPair))
               (i16x8.eq (local.get $bytes) (local.get $escapePair)))
      (v128.or (i16x8.eq (local.tee $bytes (v128.load offset=16 align=1 (local.get $at))) (local.get $keyPair))
               (i16x8.eq (local.get $bytes) (local.get $escapePair)))
      (v128.or (i16x8.eq (local.tee $bytes (v128.load offset=17 align=1 (local.get $at))) (local.get $keyPair))
               (i16x8.eq (local.get $bytes) (local.get $escapePair)))
      (v128.or (i16x8.eq (local.tee $bytes (v128.load offset=32 align=1 (local.get $at))) (local.get $keyPair))
               (i16x8.eq (local.get $bytes) (local.get $escapePair)))
      (v128.or (i16x8.eq (local.tee $bytes (v128.load offset=33 align=1 (local.get $at))) (local.get $keyPair))
               (i16x8.eq (local.get $bytes) (local.get $escapePair)))
      (v128.or (i16x8.eq (local.tee $bytes (v128.load offset=48 align=1 (local.get $at))) (local.get $keyPair))
               (i16x8.eq (local.get $bytes) (local.get $escapePair)))
      (v128.or (i16x8.eq (local.tee $bytes (v128.load offset=49 align=1 (local.get $at))) (local.get $keyPair))
               (i16x8.eq (local.get $bytes) (local.get $escapePair)))
      v128.or v128.or v128.or v128.or v128.or v128.or v128.or
      v128.any_true
      (if
        (then
          ;; All four bytes, at 16 places at a time.
          (loop $places
            (v128.and
              (v128.and
                (i8x16.eq (v128.load offset=0 align=1 (local.get $at)) (local.get $key0))
                (i8x16.eq (v128.load offset=1 align=1 (local.get $at)) (local.get $key1)))
              (v128.and
                (i8x16.eq (v128.load offset=2 align=1 (local.get $at)) (local.get $key2))
                (i8x16.eq (v128.load offset=3 align=1 (local.get $at)) (local.get $key3))))
            (v128.and
              (v128.and
                (i8x16.eq (v128.load offset=0 align=1 (local.get $at)) (i8x16.splat (i32.const 0x75))) ;; "u"
                (i8x16.eq (v128.load offset=1 align=1 (local.get $at)) (i8x16.splat (i32.const 0x30)))) ;; "0"
              (v128.and
                (i8x16.eq (v128.load offset=2 align=1 (local.get $at)) (i8x16.splat (i32.const 0x30))) ;; "0"
                (v128.and
                  (i8x16.ge_u (local.tee $bytes (v128.load offset=3 align=1 (local.get $at))) (i8x16.splat (local.get $low)))
                  (i8x16.le_u (local.get $bytes) (i8x16.splat (local.get $high))))))
            v128.or
            (local.tee $found (i8x16.bitmask))
            (if
              (then (return (i32.add (local.get $at) (i32.ctz (local.get $found))))))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br_if $places (i32.lt_u (local.get $at) (local.get $blockEnd))))))
      (local.set $at (local.get $blockEnd))
      (br $blocks))
    (unreachable)))
