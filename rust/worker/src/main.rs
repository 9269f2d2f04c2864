fn main() { strongroom_engine::init(); println!("hello"); }
