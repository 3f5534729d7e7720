//! Servers of versions that are too old, as far as a client gets before it refuses them.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// A port on which each connection is served by a thread until it ends.
fn serve(answer: impl Fn(TcpStream) -> std::io::Result<()> + Send + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A client that leaves is what this waits for.
            std::thread::spawn(move || drop(answer(stream)));
        }
    });
    port
}

/// A Postgres that accepts any login and knows its version (PostgreSQL documentation, chapter 55).
pub fn postgres(version: &'static str, number: u32) -> u16 {
    serve(move |mut stream| {
        let mut startup = message(&mut stream)?;
        if startup[..4] == 80_877_103_u32.to_be_bytes() {
            stream.write_all(b"N")?;
            startup = message(&mut stream)?;
        }
        assert_eq!(startup[..4], 196_608_u32.to_be_bytes(), "protocol 3.0");
        let mut hello = packet(b'R', &0_u32.to_be_bytes());
        hello.extend(packet(
            b'S',
            format!("server_version\0{version}\0").as_bytes(),
        ));
        hello.extend(packet(b'K', &[0; 8]));
        hello.extend(packet(b'Z', b"I"));
        stream.write_all(&hello)?;
        loop {
            let mut kind = [0];
            stream.read_exact(&mut kind)?;
            message(&mut stream)?;
            if kind != *b"Q" {
                return Ok(());
            }
            // One column `number` of type int4 (OID 23), as text, and one row.
            let mut column =
                b"\0\x01number\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0".to_vec();
            column = packet(b'T', &column);
            let text = number.to_string();
            let mut row = vec![0, 1, 0, 0, 0, u8::try_from(text.len()).unwrap()];
            row.extend(text.as_bytes());
            column.extend(packet(b'D', &row));
            column.extend(packet(b'C', b"SELECT 1\0"));
            column.extend(packet(b'Z', b"I"));
            stream.write_all(&column)?;
        }
    })
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// The body of a message, without its length.
fn message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// A Redis that accepts any login, holds nothing, and knows its version (RESP 2).
pub fn redis(version: &'static str) -> u16 {
    serve(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let mut words = Vec::new();
            for _ in 0..number(&mut reader, '*')? {
                let mut word = vec![0; number(&mut reader, '$')? + 2];
                reader.read_exact(&mut word)?;
                words.push(String::from_utf8_lossy(&word).trim().to_uppercase());
            }
            let answer = match words[0].as_str() {
                "AUTH" | "SELECT" | "CLIENT" => "+OK\r\n".to_owned(),
                "PING" => "+PONG\r\n".to_owned(),
                "GET" => "$-1\r\n".to_owned(),
                "INFO" => {
                    let info = format!("# Server\r\nredis_version:{version}\r\n");
                    format!("${}\r\n{info}\r\n", info.len())
                }
                other => format!("-ERR unknown command '{other}'\r\n"),
            };
            stream.write_all(answer.as_bytes())?;
        }
    })
}

fn number(reader: &mut impl std::io::BufRead, mark: char) -> std::io::Result<usize> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let number = line.trim().strip_prefix(mark).and_then(|n| n.parse().ok());
    number.ok_or_else(|| std::io::Error::other("the client left"))
}
